/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source connector and its warehouse, of a file or two URLs, while no service runs them. That
 * none does is not only taken from its silence: data.dir's lock is held meanwhile, and DuckDB's own
 * lock on the file. Nothing is made that was not there.
 */
#ifndef PENSTOCK_CLI_STOPPED_H
#define PENSTOCK_CLI_STOPPED_H

#include "config/file.h"
#include "state/books.h"

struct stopped {
    const char *config; /* the file, or "--from and --to", for messages */
    const char *url;    /* where a service was asked */
    struct config_file *cfg;
    const struct config_connector *source, *sink;
    int lock_fd; /* -1: data.dir does not exist */
};

/* cfg is s's from here on. name: the source's or its warehouse's; NULL: the only source. On false s
 * is to be closed, too. */
bool stopped_open(struct stopped *s, struct config_file *cfg, const char *name, struct error *err);
void stopped_close(struct stopped *s);

/*
 * The warehouse with its books: those of another version are migrated, where there are none
 * b->session is NULL and *w may be. name: the session's, in the server's list. On false nothing is
 * open.
 */
bool stopped_warehouse(const struct stopped *s, const char *name, struct warehouse **w,
                       struct books *b, struct error *err);
void stopped_warehouse_close(const struct stopped *s, struct warehouse *w, struct books *b);

#endif
