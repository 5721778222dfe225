/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a column's type in the catalogue means for the way it travels (change/value.h). Every type
 * has an answer: what has no kind of its own goes as Postgres's own text, verbatim.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_PG_TYPES_H
#define PENSTOCK_SOURCE_POSTGRES_PG_TYPES_H

#include "change/table.h"

/*
 * From pg_type. For a domain everything is that of the type at the end of its typbasetype chain,
 * except typmod: the column's, or where that is -1 the first domain's typtypmod that is not -1.
 */
struct pg_type_facts {
    uint32_t oid;
    const char *name;          /* typname */
    bool pg_catalog;           /* typnamespace = 'pg_catalog'::regnamespace */
    char type;                 /* typtype: b c d e m p r */
    char category;             /* typcategory */
    int32_t typmod;            /* -1: none */
    const char *format;        /* format_type(oid, typmod) */
    const char *const *labels; /* enum labels in enumsortorder */
    int nlabels;
};

/*
 * Fills kind, precision, scale, source_type, semantic and allowed of c; strings are copied into
 * a. False only for facts that still name a domain (the caller has not followed its chain).
 */
bool pg_column_type(struct arena *a, const struct pg_type_facts *f, struct column *c) MUST_CHECK;

#endif
