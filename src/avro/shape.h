/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An Avro schema as compatibility sees it: names resolved, with aliases, symbols and defaults, and
 * validated to the letter. (avro/node.h is the other half: what decoding needs of any writer's
 * schema, with Connect's properties and without defaults.) Internal to compat.c and registry.c.
 */
#ifndef PENSTOCK_AVRO_SHAPE_H
#define PENSTOCK_AVRO_SHAPE_H

#include "util/arena.h"
#include "util/error.h"

#include <jansson.h>
#include <stdint.h>

enum shape_type {
    SHAPE_NULL,
    SHAPE_BOOLEAN,
    SHAPE_INT,
    SHAPE_LONG,
    SHAPE_FLOAT,
    SHAPE_DOUBLE,
    SHAPE_BYTES,
    SHAPE_STRING,
    SHAPE_RECORD,
    SHAPE_ENUM,
    SHAPE_FIXED,
    SHAPE_ARRAY,
    SHAPE_MAP,
    SHAPE_UNION
};

struct shape;

struct shape_field {
    const char *name;
    const char **aliases;
    int naliases;
    const struct shape *type;
    const json_t *def; /* borrowed from the document; NULL: no default */
};

struct shape {
    enum shape_type type;
    const char *name;     /* full name of a record, enum or fixed; else NULL */
    const char **aliases; /* full names */
    int naliases;
    const char *logical;  /* logicalType, or NULL */
    int scale, precision; /* logical decimal */
    int64_t size;         /* fixed */
    int nsymbols;
    const char **symbols;       /* enum */
    const char *symbol_default; /* enum, or NULL */
    int nfields;
    struct shape_field *fields; /* record */
    int nbranches;
    const struct shape **branches; /* union; array and map: one, the items or values */
};

/*
 * Parses and validates schema text. *document owns the defaults: json_decref it after the last
 * use of the shape (it is set on success only). With check_defaults false a default may be of the
 * wrong type (a writer's defaults are never used). ERROR_DATA names the place and the rule.
 */
bool shape_parse(struct arena *a, const char *text, bool check_defaults, json_t **document,
                 const struct shape **out, struct error *err);
/* "int", "record shop.public.t.Value", "[null, long (timestamp-micros)]"; in arena a. */
const char *shape_describe(struct arena *a, const struct shape *n);
/* The part of a full name behind its last dot. */
const char *shape_simple_name(const char *full);
/* A record, enum or fixed. */
bool shape_is_named(const struct shape *n);

#endif
