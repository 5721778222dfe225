/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board: what the service says of itself while it runs. Connectors' threads write, the HTTP
 * server and the progress display read copies. Thread-safe; nothing here is durable.
 */
#ifndef PENSTOCK_STATE_BOARD_H
#define PENSTOCK_STATE_BOARD_H

#include "config/config.h"
#include "util/arena.h"

enum connector_state {
    CONNECTOR_UNASSIGNED, /* not started yet */
    CONNECTOR_RUNNING,
    CONNECTOR_RESTARTING, /* retrying by itself */
    CONNECTOR_FAILED,     /* a person must act */
    CONNECTOR_PAUSED,
    CONNECTOR_STOPPED
};

enum table_state { TABLE_LOADING, TABLE_LIVE, TABLE_NEEDS_SNAPSHOT, TABLE_REFUSED };

struct board;

/* What the source keeps for a connector, as last looked at. */
struct board_mark {
    const char *name;       /* Postgres: the slot; NULL: not known yet */
    int64_t retained_bytes; /* log that is kept; -1 unknown */
    int64_t safe_bytes;     /* that may still be written before it is lost; -1: no limit */
    const char *pinned_by;  /* whom it is kept for; NULL: it is what an idle stream keeps */
    int64_t limit_bytes;    /* the server's; -1: none, but for its disk */
    const char *status;     /* the server's word for it; NULL: not known */
    int64_t log_rate;       /* bytes of log that are written a second; -1: not known yet */
    int64_t seconds_left;   /* at that rate, until it is lost; -1: no end in sight */
    int warning_level;      /* 0 none .. 3, see retention.h */
    const char *warning;    /* what is near, and what to do; NULL: nothing */
};

struct board_connector {
    const char *name;
    bool source; /* else sink */
    const struct config *config;
    enum connector_state state; /* of the connector */
    enum connector_state task;  /* of its one task */
    const char *trace;          /* why the task is FAILED or RESTARTING, with the fix; or NULL */
    struct board_mark mark;     /* of a source */
    int64_t fresh_us;           /* of a sink: board_set_fresh; 0: not known */
};

struct board_table {
    const char *connector; /* the source's name */
    const char *schema, *name;
    const char *target_schema, *target_name;
    enum table_state state;
    const char *reason;   /* or NULL */
    int64_t rows;         /* in the warehouse as far as known: loaded, then + inserts - deletes */
    int64_t rows_total;   /* estimate while loading; -1 unknown */
    const char *position; /* as of which the table is complete; "" while loading */
    /* Set by the board: */
    int64_t waiting_ms;    /* for so long it has not been live; -1: it is */
    int64_t waiting_bytes; /* changes that wait for it in its spool */
};

struct board *board_new(const char *service_name);
void board_free(struct board *b);
void board_add_connector(struct board *b, const char *name, bool source,
                         const struct config *config);
/* trace may be NULL. Logs the change of state. */
void board_set_state(struct board *b, const char *connector, enum connector_state connector_state,
                     enum connector_state task, const char *trace);
/*
 * What people want of a connector: the HTTP server says it, the service does it (service_tend).
 * False: there is none of that name.
 */
bool board_want_paused(struct board *b, const char *connector, bool paused);
bool board_want_restart(struct board *b, const char *connector);
bool board_wants_paused(struct board *b, const char *connector);
/* Takes the wish: true once. */
bool board_take_restart(struct board *b, const char *connector);
/* Adds or replaces by (connector, schema, name). Logs "table state table= from= to= reason=" when
 * the state changes. */
void board_set_table(struct board *b, const struct board_table *t);
/* Nothing if the table is not there (any more). */
void board_update_table(struct board *b, const struct board_table *t);
void board_remove_table(struct board *b, const char *connector, const char *schema,
                        const char *name);
/* How long the spool is in which changes wait for a table that is not live. */
void board_set_waiting(struct board *b, const char *connector, const char *schema, const char *name,
                       int64_t bytes);
/* Copies m. */
void board_set_mark(struct board *b, const char *connector, const struct board_mark *m);
/* Of a sink: everything that its source had committed by then is known to be in the warehouse.
 * It does not go back. Wall clock, in us since 1970. */
void board_set_fresh(struct board *b, const char *connector, int64_t us);
/* More rows of a table that is being copied (fewer: they are copied again), and how many it will
 * have, as far as is known now; below 0: as before. */
void board_add_rows(struct board *b, const char *connector, const char *schema, const char *name,
                    int64_t delta, int64_t rows_total);
/* Copies in arena a, connectors in the file's order, tables by connector, schema, name. */
void board_connectors(struct board *b, struct arena *a, struct board_connector **out, int *n);
void board_tables(struct board *b, struct arena *a, struct board_table **out, int *n);
/* True once every connector's task is RUNNING (for /readyz); else *why in arena a. */
bool board_ready(struct board *b, struct arena *a, const char **why);

const char *connector_state_name(enum connector_state s); /* "RUNNING" */
const char *table_state_name(enum table_state s);         /* "needs snapshot" */
bool table_state_parse(const char *name, enum table_state *out);

#endif
