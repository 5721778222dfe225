/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which columns are which, when a relation is announced in another shape than the known one. An R
 * message carries no attnum: it lists the live columns of one moment, in attnum order. That moment
 * lies between the known version (and the floor, where there is one) and the catalogue of now, and
 * attnums are given in order and never again. What these facts leave only one way to read is
 * proven; anything else is not. Pure.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_ALTER_H
#define PENSTOCK_SOURCE_POSTGRES_ALTER_H

#include "change/table.h"
#include "source_postgres/pgoutput.h"

/* How values of a type lie in a row. A type that is changed without a rewrite keeps it, and a
 * dropped column still shows it. */
struct storage {
    bool known;
    bool by_value;
    char align;
    int len;
};

enum attribute_state {
    ATTRIBUTE_DROPPED,
    ATTRIBUTE_HIDDEN, /* live, but not in the log: generated, or not in the column list */
    ATTRIBUTE_CARRIED
};

enum missing {
    MISSING_NONE,
    MISSING_VALUE, /* rows that are older than the column hold this one */
    MISSING_MIXED  /* the partitions differ */
};

/* A row of pg_attribute as of now. */
struct attribute {
    enum attribute_state state;
    bool long_gone;   /* dropped before anything that the stream still brings */
    const char *name; /* of the rest a dropped one has only its storage */
    uint32_t type_oid;
    int32_t typmod;
    bool not_null;
    enum missing missing;
    const char *missing_text; /* an array of one element, as text */
    struct storage storage;
};

/* All of a table's attributes, dropped ones included: list[i] is attnum i + 1. */
struct attributes {
    int n;
    const struct attribute *list;
};

/* The same of an earlier moment, as little as is needed of it: enum attribute_state. */
struct footprint {
    int n;
    const uint8_t *state;
};

struct alter_case {
    const struct table *was;
    int natts; /* no higher attnum was there yet in the known version; 0: not known */
    const struct pgoutput_relation *r;
    const struct storage *storage; /* r->ncols */
    const struct footprint *floor; /* of a moment after was and before r was written, or NULL */
    const struct attributes *now;  /* of a moment after r was written */
};

enum alter_result { ALTER_ONE, ALTER_NONE, ALTER_MANY };

/* attnums: r->ncols, filled if there is exactly one way; else *unclear is the index of a column of
 * r that can be read in two ways (MANY). */
enum alter_result alter_map(const struct alter_case *c, int *attnums, int *unclear);
/* Proven: that attnum did not exist yet in the known version. */
bool alter_added(const struct alter_case *c, int attnum);
/* The known column of that attnum: its index, or -1. */
int alter_known(const struct table *was, int attnum);
/* struct alter_case's natts of the next version. */
int alter_natts(const struct alter_case *c, const int *attnums);
/* natts as a later moment shows it, if the log then carried exactly the known columns. */
int alter_natts_later(const struct table *was, int natts, const struct footprint *f);

/*
 * A value that was stored under one type reads the same under the other, provided that the rows
 * were not rewritten.
 */
bool alter_keeps_values(uint32_t from, int32_t from_typmod, uint32_t to, int32_t to_typmod);
/* The element of an array of one element as array_out prints it, in arena a; NULL if it is not
 * one, or a NULL. */
const char *alter_only_element(struct arena *a, const char *array);

#endif
