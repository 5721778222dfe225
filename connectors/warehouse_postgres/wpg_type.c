/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in types that a target may have, by the names that format_type() gives them with an
 * empty search_path: names of other schemas have a dot and never match. Each says which kinds of
 * values the binary loader writes for it and which are staged as text and cast. Left out on
 * purpose: xml (a server may be built without it), "char" and reg* (their text depends on
 * catalogues or versions), everything of extensions.
 */
#include "warehouse_postgres/wpg_type.h"

#include <stdlib.h>
#include <string.h>

#define BIT_OF(k) (1u << (k))
#define STRINGS                                                                      \
    (BIT_OF(TYPE_TEXT) | BIT_OF(TYPE_ENUM) | BIT_OF(TYPE_JSON) | BIT_OF(TYPE_UUID) | \
     BIT_OF(TYPE_INTERVAL) | BIT_OF(TYPE_BITS) | BIT_OF(TYPE_DECIMAL) | BIT_OF(TYPE_NUMERIC))
#define INTEGERS (BIT_OF(TYPE_INT16) | BIT_OF(TYPE_INT32) | BIT_OF(TYPE_INT64))
#define TEXT_ONLY BIT_OF(TYPE_TEXT)

static const struct known {
    const char *name;
    enum wpg_base base;
    unsigned kinds, cast;
    int max_mods;
} known_types[] = {
    {"boolean", WPG_BOOL, BIT_OF(TYPE_BOOL), TEXT_ONLY, 0},
    {"smallint", WPG_INT2, BIT_OF(TYPE_INT16), TEXT_ONLY, 0},
    {"integer", WPG_INT4, BIT_OF(TYPE_INT16) | BIT_OF(TYPE_INT32), TEXT_ONLY, 0},
    {"bigint", WPG_INT8, INTEGERS, TEXT_ONLY, 0},
    {"oid", WPG_OID, INTEGERS, TEXT_ONLY, 0},
    {"real", WPG_FLOAT4, BIT_OF(TYPE_FLOAT32), TEXT_ONLY, 0},
    {"double precision", WPG_FLOAT8, BIT_OF(TYPE_FLOAT32) | BIT_OF(TYPE_FLOAT64), TEXT_ONLY, 0},
    {"numeric", WPG_NUMERIC, BIT_OF(TYPE_DECIMAL) | BIT_OF(TYPE_NUMERIC), TEXT_ONLY | INTEGERS, 2},
    {"money", WPG_OTHER, 0, BIT_OF(TYPE_DECIMAL) | BIT_OF(TYPE_NUMERIC) | TEXT_ONLY, 0},
    {"text", WPG_TEXT, STRINGS, 0, 0},
    {"character varying", WPG_VARCHAR, STRINGS, 0, 1},
    {"character", WPG_BPCHAR, STRINGS, 0, 1},
    {"bpchar", WPG_BPCHAR, STRINGS, 0, 0},
    {"name", WPG_TEXT, TEXT_ONLY, 0, 0},
    {"json", WPG_TEXT, BIT_OF(TYPE_JSON) | TEXT_ONLY, 0, 0},
    {"jsonb", WPG_JSONB, BIT_OF(TYPE_JSON) | TEXT_ONLY, 0, 0},
    {"bytea", WPG_BYTEA, BIT_OF(TYPE_BYTES), TEXT_ONLY, 0},
    {"date", WPG_DATE, BIT_OF(TYPE_DATE), 0, 0},
    {"time without time zone", WPG_TIME, BIT_OF(TYPE_TIME), TEXT_ONLY, 1},
    {"time with time zone", WPG_OTHER, 0, TEXT_ONLY, 1},
    {"timestamp without time zone", WPG_TIMESTAMP, BIT_OF(TYPE_TIMESTAMP), TEXT_ONLY, 1},
    {"timestamp with time zone", WPG_TIMESTAMP, BIT_OF(TYPE_TIMESTAMPTZ), TEXT_ONLY, 1},
    {"timestamptz", WPG_TIMESTAMP, BIT_OF(TYPE_TIMESTAMPTZ), 0, 1},
    {"interval", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 1},
    {"interval year", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 0},
    {"interval month", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 0},
    {"interval day", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 0},
    {"interval hour", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 0},
    {"interval minute", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 0},
    {"interval second", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 1},
    {"interval year to month", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 0},
    {"interval day to hour", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 0},
    {"interval day to minute", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 0},
    {"interval day to second", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 1},
    {"interval hour to minute", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 0},
    {"interval hour to second", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 1},
    {"interval minute to second", WPG_INTERVAL, BIT_OF(TYPE_INTERVAL), TEXT_ONLY, 1},
    {"bit", WPG_BIT, BIT_OF(TYPE_BITS), TEXT_ONLY | BIT_OF(TYPE_BOOL), 1},
    {"bit varying", WPG_VARBIT, BIT_OF(TYPE_BITS), TEXT_ONLY, 1},
    {"uuid", WPG_UUID, BIT_OF(TYPE_UUID), TEXT_ONLY, 0},
    {"inet", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"cidr", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"macaddr", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"macaddr8", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"point", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"line", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"lseg", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"box", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"path", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"polygon", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"circle", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"tsvector", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"tsquery", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"int4range", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"int8range", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"numrange", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"tsrange", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"tstzrange", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"daterange", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"int4multirange", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"int8multirange", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"nummultirange", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"tsmultirange", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"tstzmultirange", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"datemultirange", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"pg_lsn", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"txid_snapshot", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"pg_snapshot", WPG_OTHER, 0, TEXT_ONLY, 0},
    {"xid8", WPG_OTHER, 0, TEXT_ONLY | BIT_OF(TYPE_INT64) | BIT_OF(TYPE_NUMERIC), 0},
    {"jsonpath", WPG_OTHER, 0, TEXT_ONLY, 0},
};

#define MAX_NAME 40
#define MAX_MODIFIER 99999999

/* "(10,2)" at *p; true if there is none. */
static bool parse_mods(const char **p, struct wpg_type *out)
{
    const char *at = *p;

    if (*at != '(')
        return true;
    do {
        char *end;
        long v;

        at++;
        if (strspn(at, "-0123456789") == 0 || out->nmods == 2)
            return false;
        v = strtol(at, &end, 10);
        if (end == at || v > MAX_MODIFIER || v < -MAX_MODIFIER)
            return false;
        out->mods[out->nmods++] = (int)v;
        at = end;
    } while (*at == ',');
    if (*at != ')')
        return false;
    *p = at + 1;
    return true;
}

/* Splits text into name (without modifiers and []) and modifiers. */
static bool split(const char *text, char name[MAX_NAME], struct wpg_type *out, bool *array)
{
    size_t n = 0;
    bool had_mods = false;

    for (const char *p = text; *p != '\0';) {
        if (*p == '(') {
            if (had_mods || !parse_mods(&p, out))
                return false;
            had_mods = true;
        } else if (strncmp(p, "[]", 2) == 0) {
            *array = true;
            p += 2;
            if (*p != '\0' && *p != '[')
                return false;
        } else {
            if (n == MAX_NAME - 1 || *array)
                return false;
            name[n++] = *p++;
        }
    }
    name[n] = '\0';
    return true;
}

bool wpg_type_parse(const char *text, struct wpg_type *out)
{
    char name[MAX_NAME];
    bool array = false;

    memset(out, 0, sizeof(*out));
    if (text == NULL || !split(text, name, out, &array))
        return false;
    for (size_t i = 0; i < sizeof(known_types) / sizeof(known_types[0]); i++) {
        const struct known *k = &known_types[i];

        if (strcmp(name, k->name) != 0)
            continue;
        if (out->nmods > k->max_mods)
            return false;
        out->base = array ? WPG_OTHER : k->base;
        out->kinds = array ? 0 : k->kinds;
        out->cast = array ? TEXT_ONLY : k->cast;
        return true;
    }
    return false;
}
