/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean": the known name with the least edit distance to a mistyped one. */
#ifndef PENSTOCK_CONFIG_NEAREST_H
#define PENSTOCK_CONFIG_NEAREST_H

#include <stddef.h>

/* Zero-initialise, offer every known name, then read best (borrowed; NULL: none is near). */
struct nearest {
    const char *best;
    size_t distance;
};

/* Insertions, deletions, replacements and swaps of neighbours count one each, case counts none. */
size_t edit_distance(const char *a, const char *b);
/* A name farther away than a third of the wanted one's length (at least 2) is not near. */
void nearest_offer(struct nearest *n, const char *wanted, const char *known);
/* The nearest in a comma-separated list, copied to out; NULL if none is near. */
const char *nearest_choice(const char *wanted, const char *choices, char *out, size_t size);

#endif
