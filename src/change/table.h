/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One version of a source table: what its columns were as of one point of the log. Immutable once
 * made; lives in the arena it was made in. The same struct describes a table on the source's side
 * (from the catalogue or the warehouse's bookkeeping) and on the sink's (from the event's schema,
 * where oid, attnum, type_oid and typmod are 0).
 */
#ifndef PENSTOCK_CHANGE_TABLE_H
#define PENSTOCK_CHANGE_TABLE_H

#include "change/value.h"
#include "util/arena.h"

#include <stdbool.h>

struct column {
    const char *name;  /* true name at the source */
    const char *field; /* Avro field name, unique in the table */
    enum type_kind kind;
    int precision; /* DECIMAL: digits; BITS: length */
    int scale;     /* DECIMAL */
    bool nullable;
    int key_pos;             /* 1.. in the key, 0: not part of it */
    const char *source_type; /* the source's own name of it: "numeric(10,2)", "integer[]" */
    const char *semantic;    /* TEXT: connect.name, or NULL */
    const char *allowed;     /* ENUM: labels, comma-separated, or NULL */
    const char *def;         /* not nullable: its default in the event schema (JSON), or NULL */
    const char *aliases; /* fields that it had before it was renamed, comma-separated, or NULL */
    /* The source connector's identity of the column; 0 on the sink's side. */
    int attnum;
    uint32_t type_oid;
    int32_t typmod;
    bool identity; /* part of the replica identity */
};

struct table {
    uint32_t oid;       /* the source's id of the table */
    const char *schema; /* true names */
    const char *name;
    const char *topic; /* PREFIX.SCHEMA.TABLE, topic-safe */
    int ncols;
    struct column *cols;
    int nkeys;             /* 0: no key, rows are a multiset */
    const int *keys;       /* column indices in key order */
    char replica_identity; /* Postgres: d n f i; 0 unknown */
    uint32_t relfilenode;  /* Postgres: of the rows as of this version; 0 for partition roots */
    int natts;        /* Postgres: no column with an attnum above this was there yet; 0 unknown */
    int64_t est_rows; /* the catalogue's estimates, for plan and progress; -1 unknown */
    int64_t est_bytes;
    const char *row_filter; /* the publication's WHERE, or NULL */
    bool partitioned;       /* a root whose leaves hold the rows */
    const char *leaves; /* Postgres, of a root: ",OID,OID,", rising; NULL: no root, or not known */
    /* Postgres: what makes it part of the publication, and how; NULL: not known. Text that is
     * another one after each change of that. */
    const char *membership;
};

/* A deep copy in arena a. */
struct table *table_copy(struct arena *a, const struct table *t);
/* Fills nkeys and keys (in arena a) from the columns' key_pos. */
void table_index_keys(struct arena *a, struct table *t);
/* Index of the column of that true name, or -1. */
int table_find_column(const struct table *t, const char *name);
/*
 * Avro names and topics keep fewer characters than the source: fills `field` of every column and
 * `topic`. Names that would collide inside the table get "_" and 8 hex digits of the SHA-256 of
 * their true name, each changed one (DESIGN section 3, Events).
 */
void table_name_fields(struct arena *a, struct table *t, const char *topic_prefix);
/* Is that leaf in the list, as struct table has it? NULL lists nothing. */
bool table_lists_leaf(const char *leaves, uint32_t leaf);
/* For tables whose topics came out the same: appends "_" and 8 hex digits of the SHA-256 of
 * schema, a zero byte and name to t->topic. Who holds all tables decides. */
void table_topic_suffix(struct arena *a, struct table *t);
/* The table's name with that same suffix, in arena a: for targets that would collide. */
const char *table_suffixed_name(struct arena *a, const struct table *t);

#endif
