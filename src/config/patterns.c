/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expression lists. The text is cut at its separating commas first, then each piece is
 * compiled on its own, anchored at both ends, so that an offset in an error can be given in the
 * whole text. A search that runs into PCRE2's own limits is reported as such, never taken for "no".
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "config/patterns.h"

#include "util/mem.h"

#include <ctype.h>
#include <pcre2.h>
#include <string.h>

struct patterns {
    size_t n;
    pcre2_code **codes;
    char **texts; /* of the pieces */
};

#define PIECE_FLAGS (PCRE2_ANCHORED | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF)

/* After a '[': the character behind the class's ']', or the end. */
static const char *skip_class(const char *p)
{
    if (*p == '^')
        p++;
    if (*p == ']')
        p++;
    while (*p != '\0' && *p != ']') {
        if (*p == '\\' && p[1] != '\0') {
            p += 2;
        } else if (*p == '[' && p[1] == ':') {
            const char *end = strstr(p + 2, ":]");

            p = end != NULL ? end + 2 : p + 2;
        } else {
            p++;
        }
    }
    return *p == ']' ? p + 1 : p;
}

/* After a '{': behind the '}' if this is a quantifier, else where it was. */
static const char *skip_quantifier(const char *p)
{
    const char *end = p + strspn(p, "0123456789,");

    return end > p && *end == '}' ? end + 1 : p;
}

/* The end of the piece that starts at p: its separating comma or the end of the text. */
static const char *piece_end(const char *p)
{
    int depth = 0;

    while (*p != '\0') {
        if (p[0] == '\\' && p[1] == 'Q') {
            const char *end = strstr(p + 2, "\\E");

            p = end != NULL ? end + 2 : p + strlen(p);
            continue;
        }
        if (*p == '\\' && p[1] != '\0') {
            p += 2;
            continue;
        }
        if (*p == ',' && depth == 0)
            return p;
        if (*p == '(')
            depth++;
        else if (*p == ')' && depth > 0)
            depth--;
        if (*p == '[')
            p = skip_class(p + 1);
        else if (*p == '{')
            p = skip_quantifier(p + 1);
        else
            p++;
    }
    return p;
}

static bool add_piece(struct patterns *p, const char *start, size_t len, size_t offset, bool list,
                      struct error *err)
{
    uint32_t flags = PIECE_FLAGS | PCRE2_ENDANCHORED | (list ? PCRE2_CASELESS : 0);
    PCRE2_SIZE at = 0;
    int code = 0;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)start, len, flags, &code, &at, NULL);

    if (re == NULL) {
        char reason[160];

        pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof(reason));
        return error_set(err, ERROR_CONFIG, "not a regular expression at offset %zu: %s",
                         offset + at, reason);
    }
    p->codes = mem_realloc(p->codes, (p->n + 1) * sizeof(pcre2_code *));
    p->texts = mem_realloc(p->texts, (p->n + 1) * sizeof(char *));
    p->texts[p->n] = mem_strndup(start, len);
    p->codes[p->n++] = re;
    return true;
}

bool patterns_compile(struct patterns **out, const char *text, bool list, struct error *err)
{
    struct patterns *p = mem_calloc(1, sizeof(*p));
    const char *at = text;

    *out = NULL;
    for (;;) {
        const char *end = list ? piece_end(at) : at + strlen(at);
        const char *start = at, *stop = end;

        while (list && start < stop && isspace((unsigned char)*start))
            start++;
        /* A blank behind a backslash belongs to the expression. */
        while (list && stop > start && isspace((unsigned char)stop[-1]) &&
               !(stop - 1 > start && stop[-2] == '\\'))
            stop--;
        if (stop > start &&
            !add_piece(p, start, (size_t)(stop - start), (size_t)(start - text), list, err)) {
            patterns_free(p);
            return false;
        }
        if (*end == '\0')
            break;
        at = end + 1;
    }
    if (p->n == 0) {
        patterns_free(p);
        p = NULL;
    }
    *out = p;
    return true;
}

void patterns_free(struct patterns *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->n; i++) {
        pcre2_code_free(p->codes[i]);
        mem_free(p->texts[i]);
    }
    mem_free(p->codes);
    mem_free(p->texts);
    mem_free(p);
}

static enum pattern_match match_one(const pcre2_code *re, const char *text, uint32_t options)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    int rc = data == NULL ? PCRE2_ERROR_NOMEMORY
                          : pcre2_match(re, (PCRE2_SPTR)text, strlen(text), 0, options, data, NULL);

    pcre2_match_data_free(data);
    if (rc >= 0 || rc == PCRE2_ERROR_PARTIAL)
        return PATTERN_YES;
    return rc == PCRE2_ERROR_NOMATCH ? PATTERN_NO : PATTERN_GAVE_UP;
}

enum pattern_match patterns_match(const struct patterns *p, const char *text)
{
    enum pattern_match answer = PATTERN_NO;

    for (size_t i = 0; i < p->n; i++) {
        enum pattern_match one = match_one(p->codes[i], text, 0);

        if (one == PATTERN_YES)
            return one;
        if (one == PATTERN_GAVE_UP)
            answer = one;
    }
    return answer;
}

enum pattern_match patterns_match_prefix(const struct patterns *p, const char *text)
{
    enum pattern_match answer = PATTERN_NO;

    for (size_t i = 0; i < p->n && answer != PATTERN_YES; i++) {
        /* PCRE2 refuses partial matches together with PCRE2_ENDANCHORED: hence the \z. */
        char *whole = mem_printf("(?:%s)\\z", p->texts[i]);
        PCRE2_SIZE at;
        int code;
        pcre2_code *re =
            pcre2_compile((PCRE2_SPTR)whole, PCRE2_ZERO_TERMINATED, PIECE_FLAGS, &code, &at, NULL);
        enum pattern_match one = re ? match_one(re, text, PCRE2_PARTIAL_HARD) : PATTERN_GAVE_UP;

        if (one != PATTERN_NO)
            answer = one;
        pcre2_code_free(re);
        mem_free(whole);
    }
    return answer;
}
