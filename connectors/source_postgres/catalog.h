/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables as the catalogue describes them: which ones the settings select, their columns and types,
 * keys and replica identities, what the publication carries of them, and where their rows lie.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_CATALOG_H
#define PENSTOCK_SOURCE_POSTGRES_CATALOG_H

#include "source_postgres/source_postgres.h"

/* A relation with rows: the table itself, or a partition of it. */
struct catalog_leaf {
    uint32_t oid;
    uint64_t blocks; /* heap pages now; 0 when sizes were not asked for */
    const char *schema, *name;
    char kind; /* relkind: r, f */
    char persistence;
    char replica_identity;
    bool may_select, may_use; /* rights on it and on its schema */
};

struct catalog_table {
    struct table *table;
    char kind;      /* relkind: r p */
    bool partition; /* a leaf that stands for itself */
    uint32_t root;  /* of a partition */
    bool published;
    bool has_identity;   /* updates and deletes can be published */
    bool row_security;   /* RLS would apply to a reader that does not bypass it */
    bool may_select;     /* and USAGE on the schema, of all that hold its rows */
    bool owned;          /* the role may alter the table */
    bool primary_key;    /* there is one, of use or not */
    bool index_gone;     /* replica identity USING INDEX, and that index is no more or of no use */
    bool deferrable_key; /* a primary key that is no key, since it is deferrable */
    const char *refused; /* NULL, or why and what to do: the first thing in its way */
    const char *log_refused; /* what keeps the log from carrying it, or NULL */
    bool missing;            /* not published, and can be without breaking updates */
    bool only_missing;       /* and nothing else keeps it from being replicated */
    int nleaves;
    struct catalog_leaf *leaves;
};

/* A relation that the settings select but that cannot be replicated at all. */
struct catalog_odd {
    const char *schema, *name;
    const char *why;
};

struct catalog {
    int n;
    struct catalog_table *tables; /* ordered by schema and name */
    int split_roots; /* selected partition roots whose partitions are published instead */
    int nodd;
    struct catalog_odd *odd;
};

struct publication;

/*
 * Reads on connection c: under its snapshot, if it has one. pub: what the publication is; NULL:
 * none is looked at, and every selected table counts as published with all its columns. sizes:
 * ask for heap pages too, which waits for exclusive locks.
 */
MUST_CHECK bool catalog_read(struct source *s, struct pg_conn *c, struct arena *a,
                             const struct publication *pub, bool sizes, struct catalog *out,
                             struct error *err);

/* Appends "schema"."name". */
struct buf;
void catalog_qualified(struct buf *b, const char *schema, const char *name);
/* The statements, one a line, that let user read what holds the table's rows; none if it may. */
void catalog_grants(const struct catalog_table *ct, const char *user, struct buf *sql);
/* The last of them alone; nothing if the user may read it all. */
void catalog_grant_select(const struct catalog_table *ct, const char *user, struct buf *sql);

#endif
