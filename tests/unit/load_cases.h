/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for the tests of planning: made from a list of columns, with and without keys. */
#ifndef PENSTOCK_TESTS_LOAD_CASES_H
#define PENSTOCK_TESTS_LOAD_CASES_H

#include "change/table.h"
#include "load/target.h"

#include <stdlib.h>
#include <string.h>

extern const struct dialect wpg_dialect, wdk_dialect;

struct case_column {
    const char *name;
    enum type_kind kind;
    const char *source_type;
    int key_pos;
    int precision, scale;
};

static inline struct table *case_table(struct arena *a, const char *schema, const char *name,
                                       const struct case_column *cols)
{
    struct table *t = arena_calloc(a, 1, sizeof(*t));
    int n = 0;
    int i;

    while (cols[n].name != NULL)
        n++;
    t->schema = schema;
    t->name = name;
    t->ncols = n;
    t->est_rows = t->est_bytes = -1;
    t->cols = arena_calloc(a, (size_t)n + 1, sizeof(*t->cols));
    for (i = 0; i < n; i++) {
        t->cols[i].name = cols[i].name;
        t->cols[i].kind = cols[i].kind;
        t->cols[i].source_type = cols[i].source_type;
        t->cols[i].key_pos = cols[i].key_pos;
        t->cols[i].precision = cols[i].precision;
        t->cols[i].scale = cols[i].scale;
        t->cols[i].nullable = cols[i].key_pos == 0;
        t->cols[i].attnum = i + 1;
        t->cols[i].typmod = -1;
        t->cols[i].identity = cols[i].key_pos > 0;
    }
    table_index_keys(a, t);
    table_name_fields(a, t, "shop");
    return t;
}

#endif
