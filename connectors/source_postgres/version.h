/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the known version of a table to the one that is announced: nothing changed, an alteration
 * that leaves its rows as they are, or a load. Pure: everything the catalogue says is given.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_VERSION_H
#define PENSTOCK_SOURCE_POSTGRES_VERSION_H

#include "change/change.h"
#include "source_postgres/shape.h"

enum version_step { VERSION_SAME, VERSION_NEXT, VERSION_LOAD };

struct version_case {
    const struct table *was;
    const struct pgoutput_relation *r;
    int natts; /* struct alter_case, as the floor */
    const struct footprint *floor;
    const struct shape *shape; /* asked after r was written */
};

/*
 * NEXT: *al is made in arena a, which then holds al->now with all of its strings and fills. LOAD:
 * why says what cannot be proven.
 */
enum version_step version_follow(const struct version_case *c, struct arena *a,
                                 struct alteration *al, char *why, size_t size);

/* By an older answer, without details: every known column is still there, as announced, and the
 * key is the same. False: not proven by it. */
bool version_unchanged(const struct table *was, const struct pgoutput_relation *r,
                       const struct trace *t);

/* The same table with columns that may be NULL where loosen says so; in arena a. */
void version_loosen(const struct table *was, const bool *loosen, struct arena *a,
                    struct alteration *al);

#endif
