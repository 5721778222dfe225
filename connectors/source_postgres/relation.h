/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relations as the stream announces them, held against the tables that the engine knows. A
 * relation is judged when a row or a truncate of it arrives, not when it is announced, and again
 * after each announcement; the catalogue is asked each time (shape.h), since an R message that
 * looks the same need not mean the same columns.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_RELATION_H
#define PENSTOCK_SOURCE_POSTGRES_RELATION_H

#include "source_postgres/pgoutput.h"
#include "source_postgres/shape.h"
#include "util/map.h"

enum relation_state {
    RELATION_NEW,     /* announced, not judged yet */
    RELATION_MATCHES, /* rows can be carried */
    RELATION_ALTERED, /* they can once the engine has taken `alteration` */
    RELATION_IGNORED  /* not selected, skipped, or handed to wants_load */
};

/* One table of the source; lives as long as the stream. */
struct relation {
    uint32_t oid;
    enum relation_state state;
    bool announced;            /* the fields below are of the last R message */
    bool told;                 /* wants_load was called */
    bool skip;                 /* the engine does not want its rows */
    const struct table *table; /* NULL: not known to the engine */
    int natts;                 /* struct alter_case */
    int64_t s;

    struct arena *arena;        /* of the last R message */
    struct pgoutput_relation r; /* if it MATCHES, its columns are the table's, in order */
    struct value *before;       /* table->ncols each */
    struct value *after;
    bool *loosen; /* a NULL came in a column that has none: set by row_change */
    bool loose;   /* any of them is set */

    struct trace *latest;     /* the last answer about it, or NULL */
    struct trace *floor;      /* of before the last row that was judged, or NULL */
    struct arena *version;    /* holds `table` if it is one that the stream made */
    struct arena *next;       /* ALTERED: holds the alteration */
    struct trace *next_floor; /* ALTERED: of the moment of the alteration, or NULL */
    struct alteration alteration;
};

struct relations {
    struct source *source;
    struct map *by_oid;
    struct arena *scratch; /* of one judgement */
    /* The last two R messages, if nothing came since: a root's, and one that followed it. */
    uint32_t root, leaf;
    /* shape_ask, but for tests without a server. */
    bool (*ask)(struct source *s, struct arena *a, const struct table *t,
                const struct pgoutput_relation *r, uint32_t xid, struct shape *out,
                struct error *err);
};

struct relations *relations_new(struct source *s, const struct stream_table *tables, int n);
void relations_free(struct relations *rs); /* accepts NULL */
/* Asks the catalogue about all tables at once, before the stream is read. */
MUST_CHECK bool relations_prepare(struct relations *rs, const struct stream_table *tables, int n,
                                  struct error *err);
/* What is known of one table from here on. */
void relations_install(struct relations *rs, const struct stream_table *t);
/* Keeps a copy of an R message. */
void relations_announce(struct relations *rs, const struct pgoutput_relation *r);
/*
 * A row of that oid follows (0: something else): does it come from a leaf that was announced just
 * now? 0: none. Under publish_via_partition_root the server announces first the root, then the
 * leaf, before the leaf's first row, which carries the root's oid.
 */
uint32_t relations_take_leaf(struct relations *rs, uint32_t oid);
/* NULL: never announced. */
struct relation *relations_find(const struct relations *rs, uint32_t oid);
/*
 * Judges a relation that a row or truncate of the transaction xid is for: after it, it MATCHES,
 * or is ALTERED and must be settled, or its rows are passed over, after wants_load where the
 * engine should know it.
 */
MUST_CHECK bool relations_judge(struct relations *rs, struct relation *rel, uint32_t xid,
                                const struct change_sink *sink, struct error *err);
/* A row has a NULL where the table has none: the relation is ALTERED by that. */
void relations_loosen(struct relation *rel);
/* The engine was told of rel->alteration: does it take it? */
void relations_settle(struct relation *rel, bool carried);
/* The relation is not carried any more; the engine is told why, once. */
MUST_CHECK bool relations_refuse(struct relation *rel, const struct change_sink *sink,
                                 const char *why, struct error *err);

#endif
