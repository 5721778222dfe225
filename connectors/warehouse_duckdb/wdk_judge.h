/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files that judge where a statement may run (wdk_ask_judge.c says what it is about):
 * what is counted on the way through the syntax tree, and what is made of it.
 */
#ifndef PENSTOCK_WDK_JUDGE_H
#define PENSTOCK_WDK_JUDGE_H

#include "warehouse_duckdb/wdk.h"
#include "warehouse_duckdb/wdk_tree.h"

struct judge {
    struct session *s;
    const char *why; /* it must run apart; NULL: not yet */
    int nodes, queries, tables, stars, copies, grows;
    bool renames, columns, unequal, joined, described;
    double literal; /* bytes of the longest constant */
    /* What patterns cost for text of some length: needles x length, states x length, length ^ walks
     * (the most of them). */
    double needle, states;
    int walks;
    int measured; /* columns of text */
    int longer;   /* so many times what it is given is a value that is made */
    bool gathers;
    /* Sets of names in lower case. A column can go on under an alias: what is named anywhere
     * counts, and all columns do (stars) where they get other names at once or a row is named
     * whole. */
    json_t *named_tables, *named_columns, *last_names, *rows;
    struct error *err;
};

/* It runs apart; why: what the log says. The first reason stays. */
static inline void judge_apart(struct judge *j, const char *why)
{
    if (j->why == NULL)
        j->why = why;
}

/* wdk_judge_length.c: members of a set of names; NULL: it is not there. */
void judge_set_name(json_t *set, const char *name, json_t *value); /* takes value */
json_t *judge_get_name(const json_t *set, const char *name);

/* wdk_judge_pattern.c: the string that a node is as a constant; NULL if it is none. */
const char *judge_constant(const json_t *node);
/* What a function looks for in its first argument: counts it, if it is such a function. */
void judge_pattern(struct judge *j, const char *name, const json_t *children);
/* Is it such a function whose result has a fixed size? */
bool judge_is_pattern(const char *name);

/* wdk_judge_length.c: what has been counted, for the text that the tables named hold. False with
 * err if they cannot be asked. */
bool judge_lengths(struct judge *j);
/* Type names without text in them; and those of text that is as long as it says. */
extern const char *const judge_fixed_types[], *const judge_text_types[];

#endif
