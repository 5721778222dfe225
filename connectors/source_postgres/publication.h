/* SPDX-License-Identifier: Apache-2.0 */
/* The publication: which tables the server puts into the log for us. */
#ifndef PENSTOCK_SOURCE_POSTGRES_PUBLICATION_H
#define PENSTOCK_SOURCE_POSTGRES_PUBLICATION_H

#include "source_postgres/catalog.h"
#include "util/buf.h"

struct publication {
    bool exists;
    bool all_tables;
    bool via_root;
    bool owned;    /* the role may alter it */
    bool complete; /* publishes insert, update, delete and truncate */
};

MUST_CHECK bool publication_read(struct source *s, struct pg_conn *c, struct publication *p,
                                 struct error *err);
/* Makes it as publication.autocreate.mode says and adds selected tables to it. */
MUST_CHECK bool publication_prepare(struct source *s, struct error *err);
/* Its name if it exists and penstock makes it itself, "" else; ours: the role owns it. */
MUST_CHECK bool publication_made(struct source *s, char out[POSITION_SIZE], bool *ours,
                                 struct error *err);
/* Drops it if it exists, penstock makes it itself, and the role owns it. */
MUST_CHECK bool publication_drop(struct source *s, struct error *err);
/*
 * The statement that would make or mend it; sql stays empty if there is nothing to do. Tables
 * that would break the application's updates are left out.
 */
void publication_statement(const struct source *s, const struct publication *p,
                           const struct catalog *cat, struct buf *sql);
/* What stands in the way of using it as it is: sets err, false. */
MUST_CHECK bool publication_usable(const struct source *s, const struct publication *p,
                                   const struct catalog *cat, struct error *err);

#endif
