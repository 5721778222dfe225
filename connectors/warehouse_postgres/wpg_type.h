/* SPDX-License-Identifier: Apache-2.0 */
/* Postgres's built-in types as format_type() names them. Pure. */
#ifndef PENSTOCK_WPG_TYPE_H
#define PENSTOCK_WPG_TYPE_H

#include "change/value.h"

#include <stdbool.h>

enum wpg_base {
    WPG_BOOL,
    WPG_INT2,
    WPG_INT4,
    WPG_INT8,
    WPG_OID,
    WPG_FLOAT4,
    WPG_FLOAT8,
    WPG_NUMERIC,
    WPG_TEXT, /* text, name, json: the bytes as they are */
    WPG_VARCHAR,
    WPG_BPCHAR,
    WPG_BYTEA,
    WPG_DATE,
    WPG_TIME,
    WPG_TIMESTAMP, /* with and without time zone */
    WPG_INTERVAL,
    WPG_BIT,
    WPG_VARBIT,
    WPG_UUID,
    WPG_JSONB,
    WPG_OTHER /* only through its text */
};

struct wpg_type {
    enum wpg_base base;
    unsigned kinds; /* bit k: values of type_kind k are written in binary */
    unsigned cast;  /* bit k: values of type_kind k are written as text and cast */
    int nmods;
    int mods[2]; /* numeric(10,2): 10, 2 */
};

/*
 * False if text is not one of the known built-in types, with type modifiers and [] or without: it
 * may then be anything and must not get into a statement.
 */
bool wpg_type_parse(const char *text, struct wpg_type *out);

static inline bool wpg_type_writes(const struct wpg_type *t, enum type_kind kind)
{
    return (t->kinds >> kind & 1) != 0;
}

static inline bool wpg_type_casts(const struct wpg_type *t, enum type_kind kind)
{
    return (t->cast >> kind & 1) != 0;
}

#endif
