/* SPDX-License-Identifier: Apache-2.0 */
/* The DuckDB warehouse's own parts, for its files and their tests only. */
#ifndef PENSTOCK_WDK_H
#define PENSTOCK_WDK_H

#include "load/warehouse.h"
#include "util/causes.h"

#include <duckdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define WDK_DATABASE "_penstock" /* what the warehouse file is called in SQL */

struct warehouse {
    duckdb_database db;
    char *path;     /* absolute, links resolved: also the key in the list of open files */
    char *wal_path; /* path + ".wal" */
    char *temp_directory;
    int64_t memory_limit;
    int threads;
    bool listed;   /* in the list of files this process has open */
    bool attached; /* the file is open in db */
    bool reads;    /* opened by wdk_look: nothing is written */
    /* wdk_gate.c */
    pthread_mutex_t gate;
    pthread_cond_t gate_moved;
    int inside; /* transactions and single statements */
    bool gate_closed;
    /* wdk_maintain.c */
    pthread_mutex_t upkeep;
    int64_t wal_since_ms;     /* when a log was first seen since the last checkpoint; 0: none */
    int64_t wal_bytes;        /* when last looked at */
    int64_t wal_moved_ms;     /* when it was last seen to have grown */
    int64_t postponed_ms;     /* when a checkpoint last had to give way to a transaction */
    int64_t said_full_ms;     /* when a full disk was last logged */
    atomic_int_fast64_t dead; /* rows deleted or replaced since dead rows were last counted */
    /* A checkpoint of a large log had to give way to readers: no new ones until then, or until it
     * has been made. */
    atomic_int_fast64_t pause_until_ms;
    /* wdk_apart.c: processes that read the file; they are to end, so that it can be written. */
    atomic_int apart;
    atomic_bool recalled;
    struct wdk_publisher *publisher; /* wdk_publish.c; NULL: no copies are wanted */
};

struct session {
    struct warehouse *w;
    duckdb_connection con;
    atomic_bool cancelled; /* until the next rollback */
    bool in_transaction;
    bool upkeep;        /* it holds the gate closed itself */
    struct buf changed; /* wdk_order.c: tables whose rows this transaction changed */
    bool failed;        /* a statement failed in the open transaction: it can only be rolled back */
};

/* wdk_open.c */
bool wdk_open(struct warehouse **out, const struct config *cfg, struct error *err);
bool wdk_look(struct warehouse **out, const struct config *cfg, bool *empty, struct error *err);
/*
 * For a process of its own (wdk_apart.c): reads the file as of its last checkpoint. temp need not
 * exist; memory in bytes.
 */
bool wdk_open_apart(struct warehouse **out, const char *path, const char *temp, int64_t memory,
                    int threads, struct error *err);
void wdk_close(struct warehouse *w);
/* The list of files that this process has open. False: it stands there already. */
bool wdk_list_path(const char *path, struct error *err);
void wdk_unlist_path(const char *path);
/* The path absolute and without links, mem.h's or realpath's; its directory must exist. */
bool wdk_resolve(const char *given, char **out, struct error *err);

/* wdk_session.c */
bool wdk_connect(struct warehouse *w, const char *name, struct session **out, struct error *err);
void wdk_disconnect(struct session *s);
void wdk_cancel(struct session *s);
bool wdk_exec(struct session *s, const char *sql, int64_t *affected, struct error *err);
bool wdk_query(struct session *s, struct arena *a, const char *sql, struct rowset *out,
               struct error *err);
bool wdk_begin(struct session *s, struct error *err);
bool wdk_commit(struct session *s, struct error *err);
void wdk_rollback(struct session *s);
/* False with ERROR_RETRY if the session was cancelled or its transaction has failed. */
bool wdk_usable(struct session *s, struct error *err);

/* wdk_gate.c: transactions wait a moment where a checkpoint wants to come in between. */
void wdk_gate_init(struct warehouse *w);
void wdk_gate_free(struct warehouse *w);
void wdk_gate_enter(struct warehouse *w); /* a transaction, or a statement outside of one */
void wdk_gate_leave(struct warehouse *w);
/* New ones wait; returns when none is left inside, or after timeout_ms. */
void wdk_gate_close(struct warehouse *w, int timeout_ms);
void wdk_gate_open(struct warehouse *w);

/* wdk_order.c: remembers the table of a DELETE or UPDATE; ERROR_FATAL if one is then altered. */
void wdk_order_note(struct buf *changed, const char *sql);
bool wdk_order_allows(const struct buf *changed, const char *sql, struct error *err);

/* wdk_states.c: what DuckDB's types of errors mean. */
struct wdk_state {
    duckdb_error_type type;
    const char *sign;  /* in the message; NULL: every message of that type */
    bool quotes_names; /* double quotes in the message hold names; else they may hold values */
    struct error_note note;
};

/* The last row is for every type that has none. */
const struct wdk_state *wdk_state_find(duckdb_error_type type, const char *message);
/* The i-th row of docs/errors.md; false: there are no more. */
bool wdk_state_note(size_t i, struct error_note *out);

/* wdk_error.c: kind and message (values masked) from DuckDB's own; returns false. */
bool wdk_error(struct error *err, duckdb_error_type type, const char *message);
/* The first line of message without values; out holds size bytes. */
void wdk_mask(duckdb_error_type type, const char *message, char *out, size_t size);

/* wdk_text.c: the cells of a result in arena a; ERROR_FATAL for a type that needs a cast. */
bool wdk_rows(struct arena *a, duckdb_result *r, struct rowset *out, struct error *err);

/*
 * Any value of a vector as a duckdb_value, lists and other nested ones included. NULL for a type
 * that has none (VARIANT, BIGNUM, GEOMETRY).
 */
duckdb_value wdk_value(duckdb_logical_type lt, duckdb_vector v, idx_t row);
/* wdk_text.c: of a type that is not nested, a row that is not NULL. */
duckdb_value wdk_scalar(duckdb_logical_type lt, const void *data, idx_t row);

/* wdk_scan.c: see warehouse_ops.view and scan */
bool wdk_view(struct session *s, struct error *err);
bool wdk_scan(struct session *s, const char *schema, const char *table,
              const struct load_column *cols, int ncols, scan_row_fn *row, void *ctx,
              struct error *err);

/* wdk_ask.c: see warehouse_ops.ask */
enum ask_outcome wdk_ask(struct warehouse *w, const struct question *q, struct buf *json,
                         struct error *err);
/* The same in this very process, whatever the statement may take. */
enum ask_outcome wdk_ask_here(struct warehouse *w, const struct question *q, struct buf *json,
                              struct error *err);

/*
 * wdk_ask_guard.c: true if sql is one statement that only reads what is in the warehouse; *run is
 * then the statement to run, *explain whether it is an EXPLAIN, *apart what wdk_ask_judge says.
 * If *apart is true before, what costs much to read is not even read: it runs apart, where it is.
 * Else the error says why not: ERROR_CONFIG if that lies with the statement.
 */
bool wdk_ask_guard(struct session *s, const char *sql, struct buf *run, bool *explain, bool *apart,
                   struct error *err);

/* wdk_ask_judge.c: must the statement (a json_t: its syntax tree) run in a process of its own? */
bool wdk_ask_judge(struct session *s, const void *tree, bool *runs_apart, struct error *err);

/* wdk_ask_watch.c: a thread that interrupts a question's session where a limit is reached. */
struct wdk_watch;
enum wdk_limit {
    WDK_LIMIT_NONE,
    WDK_LIMIT_TIME,
    WDK_LIMIT_MEMORY,
    WDK_LIMIT_UPKEEP, /* the log must be written away */
    WDK_LIMIT_CANCELLED
};
bool wdk_watch_start(struct wdk_watch **out, struct session *s, const struct question *q,
                     int64_t deadline_ms, struct error *err);
/* Ends the thread and frees; the limit that was reached. Accepts NULL. */
enum wdk_limit wdk_watch_stop(struct wdk_watch *watch);
/* Cancelled, or nobody waits for it any more. */
static inline bool wdk_given_up(const struct question *q)
{
    return atomic_load(q->cancelled) || (q->gone != NULL && q->gone(q->gone_ctx));
}
/* The limit in words. */
enum ask_outcome wdk_limited(const struct question *q, enum wdk_limit limit, struct error *err);

/* Behind the file's path: its second name, of process PID, while that opens it. */
#define WDK_APART_NAME ".penstock-ask-"

/* wdk_apart.c: a question answered by a process of its own, which can be killed. */
enum ask_outcome wdk_apart(struct warehouse *w, const struct question *q, int64_t deadline_ms,
                           struct buf *json, struct error *err);
/* What processes left behind that were killed. */
void wdk_apart_clean(const struct warehouse *w);
/* wdk_locks.c: from here on DuckDB takes no locks on files in this process. */
void wdk_ignore_locks(void);

/* wdk_json.c: a cell, and a type's name in DuckDB's SQL, as JSON text. */
enum wdk_cell { WDK_CELL_DONE, WDK_CELL_TOO_LARGE, WDK_CELL_NO_TEXT };
enum wdk_cell wdk_json_cell(struct buf *out, size_t max_bytes, duckdb_logical_type lt,
                            duckdb_vector v, idx_t row);
void wdk_json_type(struct buf *out, duckdb_logical_type lt);
void wdk_json_string(struct buf *out, const char *s, size_t len);

/*
 * wdk_publish.c: copies of the file for other processes. prepare: before the file is closed to
 * everything outside; it appends the files that publishing needs to paths, as SQL strings.
 */
bool wdk_publish_prepare(struct warehouse *w, const struct config *cfg, struct buf *paths,
                         struct error *err);
bool wdk_publish_start(struct warehouse *w, struct error *err);
void wdk_publish_stop(struct warehouse *w);
/* Could a copy be put in its place now? True without publish.path. */
bool wdk_publish_look(struct warehouse *w, struct error *err);

/* wdk_append.c */
bool wdk_append_open(struct session *s, const char *schema, const char *table, bool temporary,
                     const struct load_column *cols, int ncols, enum overflow_mode mode,
                     struct appender **out, struct error *err);
bool wdk_append_row(struct appender *ap, const struct value *values, struct error *err);
bool wdk_append_close(struct appender *ap, int64_t *nulled, struct error *err);
void wdk_append_abort(struct appender *ap);

/* wdk_write.c: one value into a vector. */
struct wdk_slot {
    duckdb_type type;     /* of the table's column */
    duckdb_type internal; /* DECIMAL: what holds it */
    int width, scale;     /* DECIMAL */
    void *data;           /* of the current chunk */
    duckdb_vector vector;
    uint64_t *validity; /* NULL until the chunk's first NULL */
};
/* Writes v at row; NULL if it was written, else the kind of value that the type cannot hold. */
typedef const char *(*wdk_writer)(struct wdk_slot *slot, idx_t row, const struct value *v);
/* NULL: values of this kind do not go into a column of that type. */
wdk_writer wdk_writer_for(enum type_kind kind, duckdb_type type);

/* wdk_decimal.c: exact; *out is the number times 10^scale. NULL, or why it does not fit. */
const char *wdk_decimal(const char *p, size_t len, int precision, int scale, __int128 *out);
/* False if p is not 32 hex digits with optional hyphens. */
bool wdk_uuid(const char *p, size_t len, duckdb_hugeint *out);

/* wdk_maintain.c */
bool wdk_maintain(struct session *s, bool idle, struct error *err);
bool wdk_checkpoint(struct session *s, struct error *err);
/* While others pause; the lock w->upkeep is held. */
bool wdk_checkpoint_now(struct session *s, struct error *err);
/* Did a checkpoint fail only because of transactions that are open now? */
bool wdk_gives_way(const struct error *err);
int64_t wdk_wal_size(const struct warehouse *w);
/* A new reader ought to wait: see pause_until_ms. */
bool wdk_wants_pause(struct warehouse *w);

/* wdk_literal.c: dialect.literal */
const char *wdk_literal(struct buf *out, const struct load_column *c, const struct value *v);

/* wdk_dialect.c */
extern const struct dialect wdk_dialect;

#endif
