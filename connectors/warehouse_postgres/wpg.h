/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the Postgres warehouse share. */
#ifndef PENSTOCK_WPG_H
#define PENSTOCK_WPG_H

#include "load/warehouse.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>

#define WPG_MIN_VERSION 150000
#define WPG_CONNECT_TIMEOUT_MS 5000
#define WPG_MAX_HOSTS 16

struct warehouse {
    const struct config *cfg;
    PQconninfoOption *params; /* of connection.url, user and password replaced */
    pthread_mutex_t mutex;    /* guards sessions */
    struct session *sessions;
};

struct session {
    struct warehouse *w;
    PGconn *conn;
    char *name;  /* application_name */
    int pid;     /* the server process */
    int wake_fd; /* eventfd: cancel() writes */
    atomic_bool cancelled;
    int64_t give_up_at;   /* mono ms: when a cancelled statement is no longer waited for; 0 none */
    bool broken;          /* the connection is of no use any more */
    char blocker[256];    /* who was last seen to hold up the statement that runs; "": nobody */
    struct session *next; /* in warehouse.sessions */
};

/* wpg_connect.c: parameters, connections, pinned settings. */
bool wpg_params_parse(struct warehouse *w, struct error *err);
/* Tries every host of the URL, each for 5 s at most. */
bool wpg_connect_raw(const struct warehouse *w, const char *name, PGconn **out, struct error *err);
bool wpg_connect_pinned(const struct warehouse *w, const char *name, PGconn **out,
                        struct error *err);

/* wpg_session.c: one session's statements. Every wait ends early after a cancel. */
bool wpg_session_open(struct warehouse *w, const char *name, struct session **out,
                      struct error *err);
void wpg_session_close(struct session *s);
void wpg_session_cancel(struct session *s);
bool wpg_usable(const struct session *s, struct error *err);
/* Until the server has sent something. */
bool wpg_wait_input(struct session *s, struct error *err);
/* Sends what libpq holds back. */
bool wpg_flush(struct session *s, struct error *err);
/* The next result, NULL when the statement is over. watch: look for who blocks it. */
bool wpg_next_result(struct session *s, bool watch, PGresult **out, struct error *err);
/* Sends sql and returns its last result, which is of one of the two wanted kinds. */
bool wpg_run(struct session *s, const char *sql, ExecStatusType want, ExecStatusType or_want,
             PGresult **out, struct error *err);
/* Reads results until none is left, for 2 s at most; else the session is broken. */
void wpg_drain(struct session *s);
bool wpg_exec(struct session *s, const char *sql, int64_t *affected, struct error *err);
bool wpg_query(struct session *s, struct arena *a, const char *sql, struct rowset *out,
               struct error *err);
bool wpg_begin(struct session *s, struct error *err);
bool wpg_commit(struct session *s, struct error *err);
void wpg_rollback(struct session *s);

/* wpg_lock.c: who blocks a statement that waits. */
struct wpg_watch {
    int64_t next_ms;   /* when to look again */
    int64_t logged_ms; /* when a blocker was last logged; 0 never */
    PGconn *conn;      /* opened at the first look */
};
void wpg_watch_start(struct wpg_watch *watch);
/* Milliseconds until wpg_watch_look should be called. */
int wpg_watch_wait_ms(const struct wpg_watch *watch);
void wpg_watch_look(struct wpg_watch *watch, struct session *s);
void wpg_watch_end(struct wpg_watch *watch);

/* wpg_append.c: binary COPY. */
bool wpg_append_open(struct session *s, const char *schema, const char *table, bool temporary,
                     const struct load_column *cols, int ncols, enum overflow_mode mode,
                     struct appender **out, struct error *err);
bool wpg_append_row(struct appender *ap, const struct value *values, struct error *err);
bool wpg_append_close(struct appender *ap, int64_t *nulled, struct error *err);
void wpg_append_abort(struct appender *ap);

/* wpg_scan.c: binary COPY, the other way; see warehouse_ops.view and scan. */
bool wpg_view(struct session *s, struct error *err);
bool wpg_scan(struct session *s, const char *schema, const char *table,
              const struct load_column *cols, int ncols, scan_row_fn *row, void *ctx,
              struct error *err);
/* wpg_check.c */
bool wpg_check(struct warehouse *w, const struct warehouse_wants *wants, struct findings *out,
               struct error *err);
bool wpg_identity(struct warehouse *w, char *out, size_t size, struct error *err);

/* wpg_dialect.c */
extern const struct dialect wpg_dialect;

#endif
