/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types of pg_catalog are known by their oid, which never changes (PostgreSQL's
 * catalog/pg_type.dat); types of extensions by name, since their oids differ per database.
 */
#include "source_postgres/pg_types.h"

#include "util/buf.h"

#include <string.h>

enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_OID = 26,
    OID_JSON = 114,
    OID_XML = 142,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_MONEY = 790,
    OID_DATE = 1082,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_INTERVAL = 1186,
    OID_BIT = 1560,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_TSVECTOR = 3614,
    OID_JSONB = 3802
};

#define TYPMOD_HEADER 4    /* VARHDRSZ, part of numeric's typmod */
#define MONEY_PRECISION 19 /* 64 bits of cents */
#define MONEY_SCALE 2      /* lc_monetary=C */

static const struct {
    uint32_t oid;
    enum type_kind kind;
    const char *semantic;
} builtin[] = {
    {OID_BOOL, TYPE_BOOL, NULL},
    {OID_BYTEA, TYPE_BYTES, NULL},
    {OID_INT8, TYPE_INT64, NULL},
    {OID_INT2, TYPE_INT16, NULL},
    {OID_INT4, TYPE_INT32, NULL},
    {OID_OID, TYPE_INT64, NULL},
    {OID_JSON, TYPE_JSON, NULL},
    {OID_XML, TYPE_TEXT, "io.debezium.data.Xml"},
    {OID_FLOAT4, TYPE_FLOAT32, NULL},
    {OID_FLOAT8, TYPE_FLOAT64, NULL},
    {OID_MONEY, TYPE_DECIMAL, NULL},
    {OID_DATE, TYPE_DATE, NULL},
    {OID_TIME, TYPE_TIME, NULL},
    {OID_TIMESTAMP, TYPE_TIMESTAMP, NULL},
    {OID_TIMESTAMPTZ, TYPE_TIMESTAMPTZ, NULL},
    {OID_INTERVAL, TYPE_INTERVAL, NULL},
    {OID_BIT, TYPE_BITS, NULL},
    {OID_NUMERIC, TYPE_NUMERIC, NULL},
    {OID_UUID, TYPE_UUID, NULL},
    {OID_TSVECTOR, TYPE_TEXT, "io.debezium.data.TsVector"},
    {OID_JSONB, TYPE_JSON, NULL},
};

static void look_up(const struct pg_type_facts *f, struct column *c)
{
    for (size_t i = 0; i < sizeof(builtin) / sizeof(builtin[0]); i++) {
        if (builtin[i].oid == f->oid) {
            c->kind = builtin[i].kind;
            c->semantic = builtin[i].semantic;
            return;
        }
    }
}

/*
 * numeric(p,s): typmod is ((p << 16) | (s & 0x7ff)) + 4 with s a signed number of 11 bits. A
 * negative scale, or one above the precision, is no decimal in Avro's sense.
 */
static void set_numeric(const struct pg_type_facts *f, struct column *c)
{
    uint32_t packed = (uint32_t)f->typmod - TYPMOD_HEADER;
    int precision = (int)((packed >> 16) & 0xffff);
    int scale = (int)((packed & 0x7ff) ^ 0x400) - 0x400;

    if (f->typmod < TYPMOD_HEADER || scale < 0 || scale > precision)
        return;
    c->kind = TYPE_DECIMAL;
    c->precision = precision;
    c->scale = scale;
}

/* Debezium's parameter: the labels with commas between, as they are. */
static const char *join_labels(struct arena *a, const struct pg_type_facts *f)
{
    struct buf b = {0};
    const char *joined;

    for (int i = 0; i < f->nlabels; i++) {
        if (i > 0)
            buf_u8(&b, ',');
        buf_puts(&b, f->labels[i]);
    }
    joined = arena_strdup(a, buf_cstr(&b));
    buf_free(&b);
    return joined;
}

static void set_details(struct arena *a, const struct pg_type_facts *f, struct column *c)
{
    switch (c->kind) {
    case TYPE_NUMERIC:
        set_numeric(f, c);
        break;
    case TYPE_DECIMAL: /* money */
        c->precision = MONEY_PRECISION;
        c->scale = MONEY_SCALE;
        break;
    case TYPE_BITS:
        if (f->typmod > 0)
            c->precision = f->typmod;
        else
            c->kind = TYPE_TEXT; /* of a query's result: any length */
        break;
    case TYPE_ENUM:
        c->allowed = join_labels(a, f);
        break;
    default:
        break;
    }
}

bool pg_column_type(struct arena *a, const struct pg_type_facts *f, struct column *c)
{
    c->kind = TYPE_TEXT;
    c->precision = 0;
    c->scale = 0;
    c->semantic = NULL;
    c->allowed = NULL;
    c->source_type = arena_strdup(a, f->format);
    if (f->type == 'd')
        return false;
    if (f->type == 'e')
        c->kind = TYPE_ENUM;
    else if (f->pg_catalog)
        look_up(f, c);
    else if (f->type == 'b' && f->category != 'A' && strcmp(f->name, "ltree") == 0)
        c->semantic = "io.debezium.data.Ltree";
    set_details(a, f, c);
    return true;
}
