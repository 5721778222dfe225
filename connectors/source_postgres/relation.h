/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relations as the stream announces them, held against the tables that the engine knows. A
 * relation is judged when a row or a truncate of it arrives, not when it is announced.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_RELATION_H
#define PENSTOCK_SOURCE_POSTGRES_RELATION_H

#include "source_postgres/pgoutput.h"
#include "source_postgres/source_postgres.h"
#include "util/map.h"

enum relation_state {
    RELATION_NEW,     /* announced, not judged yet */
    RELATION_MATCHES, /* rows can be carried */
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
    int64_t s;

    struct arena *arena; /* of the last R message */
    struct pgoutput_relation r;
    int *to_table;        /* column index: of the message -> of the table */
    struct value *before; /* table->ncols each */
    struct value *after;
};

struct relations {
    struct source *source;
    struct map *by_oid;
};

struct relations *relations_new(struct source *s, const struct stream_table *tables, int n);
void relations_free(struct relations *rs); /* accepts NULL */
/* Keeps a copy of an R message. */
void relations_announce(struct relations *rs, const struct pgoutput_relation *r);
/* NULL: never announced. */
struct relation *relations_find(const struct relations *rs, uint32_t oid);
/*
 * Judges a relation that a row or truncate is for. *carried: it matches; else its rows are passed
 * over, after wants_load where the engine should know it.
 */
MUST_CHECK bool relations_judge(struct relations *rs, struct relation *rel,
                                const struct change_sink *sink, bool *carried, struct error *err);
/* The relation is not carried any more; the engine is told why, once. */
MUST_CHECK bool relations_refuse(struct relation *rel, const struct change_sink *sink,
                                 const char *why, struct error *err);

#endif
