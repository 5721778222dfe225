/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What looks for a pattern in a value goes back and forth in it, without heeding an interrupt: how
 * often depends on the pattern, which must be a constant, and on how long the values are. Here the
 * patterns are counted; wdk_judge_length.c knows the values.
 */
#include "warehouse_duckdb/wdk_judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WILDCARDS = 4 };
#define REPEATED_MOST 1000.0 /* by RE2 */
#define UNICODE_STATES 200   /* of a class of them, about */

static const char *const patterns[] = {
    /* LIKE, ILIKE, GLOB */
    "~~",
    "!~~",
    "~~*",
    "!~~*",
    "~~~",
    "like_escape",
    "ilike_escape",
    "not_like_escape",
    "not_ilike_escape",
    NULL};

/* Their second argument is looked for in the first, byte by byte. */
static const char *const needles[] = {"contains", "position",   "strpos",
                                      "instr",    "split_part", NULL};

static const char *const regular[] = {"regexp_matches", "regexp_full_match", "regexp_extract",
                                      NULL};

/* With a wildcard in the path they return each part and the parts of each part. */
static const char *const paths[] = {"json_extract",      "json_extract_string",    "->", "->>",
                                    "json_extract_path", "json_extract_path_text", NULL};

const char *judge_constant(const json_t *node)
{
    return strcmp(tree_text(node, "class"), "CONSTANT") == 0
               ? json_string_value(json_object_get(json_object_get(node, "value"), "value"))
               : NULL;
}

/* LIKE tries what follows a wildcard at each place, and so on; not where the pattern ends. */
static void judge_walks(struct judge *j, const char *name, const char *p)
{
    bool like = strcmp(name, "~~") == 0 || strcmp(name, "!~~") == 0;
    int walks = 0;

    if (like && strchr(p, '_') == NULL) { /* its parts are looked for one after another */
        j->needle += (double)strlen(p);
        return;
    }
    for (; *p != '\0'; p++)
        walks += (*p == '%' || *p == '*') && p[1] != '\0';
    if (walks > j->walks)
        j->walks = walks;
}

/* How many states the automaton has: RE2 lets repetitions make a thousand of each at most. */
static void judge_states(struct judge *j, const char *p)
{
    double states = (double)strlen(p), times = 1;

    for (; *p != '\0'; p++) {
        if (*p == '{')
            times *=
                fmax(1, fmax(atof(p + 1), strchr(p, ',') == NULL ? 0 : atof(strchr(p, ',') + 1)));
        if (p[0] == '\\' && (p[1] == 'p' || p[1] == 'P'))
            states += UNICODE_STATES;
    }
    j->states += states * fmin(times, REPEATED_MOST);
}

static void judge_expressions(struct judge *j, const char *name, const json_t *children,
                              bool wildcards)
{
    const char *pattern = judge_constant(json_array_get(children, 1)), *p = pattern;
    int n = 0;

    if (p == NULL) {
        judge_apart(j, "a pattern that is no constant");
        return;
    }
    for (; *p != '\0'; p++)
        n += *p == '%' || *p == '*' || *p == '?' || *p == '_';
    if (wildcards && n > MAX_WILDCARDS)
        judge_apart(j, "a pattern with many wildcards");
    else if (wildcards)
        judge_walks(j, name, pattern);
    else
        judge_states(j, pattern);
}

static void judge_needle(struct judge *j, const json_t *children)
{
    const json_t *needle = json_array_get(children, 1);
    const char *p = judge_constant(needle);

    if (p != NULL)
        j->needle += (double)strlen(p);
    else if (strcmp(tree_text(needle, "class"), "CONSTANT") != 0)
        j->needle = INFINITY; /* as long as the text */
}

static void judge_path(struct judge *j, const json_t *children)
{
    const json_t *path = json_array_get(children, 1);
    const char *p = judge_constant(path);

    if (strcmp(tree_text(path, "class"), "CONSTANT") != 0 || (p != NULL && strchr(p, '*') != NULL))
        judge_apart(j, "a path with wildcards");
}

void judge_pattern(struct judge *j, const char *name, const json_t *children)
{
    if (judge_is_pattern(name) || tree_listed(regular, name))
        judge_expressions(j, name, children, tree_listed(patterns, name));
    if (tree_listed(needles, name))
        judge_needle(j, children);
    if (tree_listed(paths, name))
        judge_path(j, children);
}

bool judge_is_pattern(const char *name)
{
    return tree_listed(patterns, name) || strcasecmp(name, "regexp_matches") == 0 ||
           strcasecmp(name, "regexp_full_match") == 0;
}
