/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Optimal string alignment distance over three rows. Names longer than NAME_MAX_LENGTH bytes are
 * compared by their beginning, which is enough for a suggestion.
 */
#include "config/nearest.h"

#include <ctype.h>
#include <string.h>

#define NAME_MAX_LENGTH 128

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int lower(char c)
{
    return tolower((unsigned char)c);
}

size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][NAME_MAX_LENGTH + 1];
    size_t na = strnlen(a, NAME_MAX_LENGTH), nb = strnlen(b, NAME_MAX_LENGTH);

    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t cost = lower(a[i - 1]) != lower(b[j - 1]);

            row[j] = least(least(row[j - 1], up[j]) + 1, up[j - 1] + cost);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]))
                row[j] = least(row[j], up2[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

void nearest_offer(struct nearest *n, const char *wanted, const char *known)
{
    size_t limit = strlen(wanted) / 3;
    size_t d = edit_distance(wanted, known);

    if (limit < 2)
        limit = 2;
    if (d <= limit && d < strlen(known) && (n->best == NULL || d < n->distance)) {
        n->best = known;
        n->distance = d;
    }
}

const char *nearest_choice(const char *wanted, const char *choices, char *out, size_t size)
{
    size_t best = 0;

    out[0] = '\0';
    while (*choices != '\0') {
        size_t len = strcspn(choices, ",");
        char one[NAME_MAX_LENGTH];
        struct nearest n = {0};

        if (len < sizeof(one) && len < size) {
            memcpy(one, choices, len);
            one[len] = '\0';
            nearest_offer(&n, wanted, one);
            if (n.best != NULL && (out[0] == '\0' || n.distance < best)) {
                memcpy(out, one, len + 1);
                best = n.distance;
            }
        }
        choices += len;
        choices += *choices == ',';
    }
    return out[0] != '\0' ? out : NULL;
}
