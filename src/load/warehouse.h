/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface of a warehouse: sessions that run SQL, and a loader of typed rows. What is to be
 * run (bookkeeping, checkpoint, merge) is planned in src/load and src/state from the dialect, so
 * that a new warehouse is a dialect, a loader and a list of capabilities.
 *
 * Threads: open and close from the pipeline's thread; a session belongs to one thread at a time,
 * except session_cancel, which any thread may call. Pin in every session what the dialect needs
 * (Postgres: the settings of the reference, synchronous_commit=on).
 */
#ifndef PENSTOCK_LOAD_WAREHOUSE_H
#define PENSTOCK_LOAD_WAREHOUSE_H

#include "change/table.h"
#include "config/config.h"
#include "quality/findings.h"
#include "util/arena.h"
#include "util/buf.h"
#include "util/causes.h"

#include <stdatomic.h>

struct warehouse;
struct session;
struct appender;

enum overflow_mode { OVERFLOW_STOP, OVERFLOW_NULL };

/* A column of a stage, aside or target table. */
struct load_column {
    const char *name;    /* in the warehouse */
    const char *type;    /* the warehouse's type of it, SQL text */
    enum type_kind kind; /* of the values that are appended */
    int precision, scale;
    bool not_null;
    /*
     * The loader cannot write the type itself (Postgres: inet in binary COPY): the stage holds it
     * as text and the plan casts. Set by dialect->column. An appender gets VALUE_SET values of
     * kind TEXT for it, made by value_to_text (load/text.h) where the kind is another.
     */
    bool as_text;
};

/* A small answer, all as text, in an arena. */
struct rowset {
    int nrows, ncols;
    char **cells; /* nrows * ncols, NULL for SQL NULL */
};

static inline const char *rowset_get(const struct rowset *r, int row, int col)
{
    return r->cells[row * r->ncols + col];
}

/* One row of a scan: a value for each column that was asked for, borrowed for the call. */
typedef bool scan_row_fn(void *ctx, const struct value *values, struct error *err);

/* Differences between engines that planning has to know. All functions are pure. */
struct dialect {
    const char *name;
    int max_columns;                     /* of a target table */
    size_t max_identifier;               /* bytes */
    bool case_folds;                     /* names that differ in case are the same name */
    const char *const *reserved_schemas; /* no target may lie there; ended by NULL, or NULL */
    bool primary_key;                    /* targets get PRIMARY KEY */
    bool signless_zero;                  /* -0 is stored as 0 */
    bool merge;                          /* upsert = MERGE; else DELETE USING + INSERT */
    const char *temp_prefix; /* how a stage table is named in SQL: "pg_temp." or "temp." */
    const char *lock_share;  /* " FOR SHARE", or NULL where one process owns the whole file */
    const char *lock_probe;  /* "LOCK TABLE t" and this fails at once if rows of t cannot be changed
                                now; NULL: nobody holds locks */
    const char *row_id;      /* pseudo-column that identifies a row: "ctid", "rowid" */
    const char *bigint, *timestamptz, *text, *smallint; /* type names */
    /*
     * Fills type, kind and as_text for a source column (column.type_override: the user's type or
     * NULL). *note is set to a literal if the type is not the source's own (becomes text ...).
     */
    void (*column)(struct arena *a, const struct column *c, struct load_column *out,
                   const char **note);
    /*
     * A query whose rows are equal for two tables iff one may take the other's place by DELETE and
     * INSERT SELECT: columns, types, key. NULL: a reloaded table is always dropped and renamed.
     */
    void (*shape)(struct buf *out, const char *schema, const char *name);
    /* An SQL expression whose text is equal iff two rows' values of the column are the same,
     * NULLs too when compared with =: for tables without a key. expr: the column reference. */
    void (*same_text)(struct buf *out, const struct column *c, const char *expr);
    /*
     * Appends v (VALUE_SET, of the column's kind) as a quoted literal that the engine takes for a
     * value of the column's type, exactly, where that type is known (DEFAULT in a column's
     * definition). A plain constant, no cast: DuckDB would turn one into an UPDATE of the table,
     * Postgres would cut a text that is too long. Returns NULL, or what it is that the type cannot
     * hold ("NaN"); then nothing was appended.
     */
    const char *(*literal)(struct buf *out, const struct load_column *c, const struct value *v);
    /*
     * Appends " USING expression" where the engine's own cast of a column to its wider type would
     * not keep the values' text. now: as it is called when its type is changed. NULL: it always
     * does.
     */
    void (*retype)(struct buf *out, const struct load_column *was, const struct load_column *now);
};

/* A question of a person who reads the warehouse while the service runs. */
struct question {
    const char *sql;
    int64_t max_rows;
    size_t max_bytes; /* of the answer */
    int timeout_ms;
    const atomic_bool *cancelled; /* set by any thread: it ends soon, as ASK_BUSY */
    /* True once nobody waits for the answer any more: it ends the same way. Any thread; may be
     * NULL. */
    bool (*gone)(void *ctx);
    void *gone_ctx;
};

/* The program's only argument when it is to answer a question in a process of its own
 * (connectors_apart). */
#define WAREHOUSE_APART "--apart"

enum ask_outcome {
    ASK_DONE,
    ASK_REFUSED,   /* no statement that may be run here */
    ASK_FAILED,    /* the engine's own error: its words are in the message, values too */
    ASK_TIMEOUT,   /* cut off at timeout_ms */
    ASK_TOO_LARGE, /* the answer, or what is needed to find it */
    ASK_BUSY       /* not now: the warehouse is opened again, or wants a pause for its upkeep */
};

/* What a load would bring, for `check`. */
struct warehouse_wants {
    int64_t bytes; /* of the source's tables; -1 unknown */
    int nschemas;  /* in which targets will lie */
    const char *const *schemas;
};

struct warehouse_ops {
    const char *name; /* connector.class */
    const char *const *aliases;
    const struct setting *settings; /* its own, ended by a NULL name */
    const struct dialect *dialect;

    /* cfg is borrowed until close. DuckDB opens the file here. */
    bool (*open)(struct warehouse **out, const struct config *cfg, struct error *err);
    void (*close)(struct warehouse *w); /* accepts NULL; all sessions are disconnected before */
    /*
     * As open, for somebody who changes nothing (`check`): what is not there is not made, and the
     * sessions only read. *empty: there is nothing yet that could be connected to. NULL: open does.
     */
    bool (*look)(struct warehouse **out, const struct config *cfg, bool *empty, struct error *err);
    /* Changes nothing. wants may be NULL. */
    bool (*check)(struct warehouse *w, const struct warehouse_wants *wants, struct findings *out,
                  struct error *err);
    /* An identity for "source and warehouse are the same database": Postgres
     * "system_identifier/database oid", DuckDB "file:ABSOLUTE PATH". */
    bool (*identity)(struct warehouse *w, char *out, size_t size, struct error *err);

    /* name: for the server's list of sessions ("penstock:shop:sink"). */
    bool (*connect)(struct warehouse *w, const char *name, struct session **out, struct error *err);
    void (*disconnect)(struct session *s); /* accepts NULL; rolls back */
    void (*cancel)(struct session *s);     /* any thread: what runs returns soon with RETRY */

    /* One statement. *affected (may be NULL): rows it touched. */
    bool (*exec)(struct session *s, const char *sql, int64_t *affected, struct error *err);
    bool (*query)(struct session *s, struct arena *a, const char *sql, struct rowset *out,
                  struct error *err);
    bool (*begin)(struct session *s, struct error *err);
    /* On false with ERROR_RETRY the outcome is unknown: the caller reads the checkpoint. */
    bool (*commit)(struct session *s, struct error *err);
    void (*rollback)(struct session *s); /* also after errors; never fails: a broken session stays
                                            broken and says so on its next use */

    /*
     * Bulk load into an existing table (stage: a temporary one). Columns in the table's order.
     * The values' kinds are the columns'; VALUE_NULL or VALUE_SET only. A value that the type
     * cannot hold: by mode, ERROR_DATA naming column, kind of value and value.overflow.mode, or
     * NULL and counted in *nulled.
     */
    bool (*append_open)(struct session *s, const char *schema, const char *table, bool temporary,
                        const struct load_column *cols, int ncols, enum overflow_mode mode,
                        struct appender **out, struct error *err);
    bool (*append_row)(struct appender *ap, const struct value *values, struct error *err);
    /* Ends it: everything appended is visible to the session's next statement. */
    bool (*append_close)(struct appender *ap, int64_t *nulled, struct error *err);
    void (*append_abort)(struct appender *ap); /* after an error; the transaction must roll back */

    /* After a batch or a load has been committed: the engine's own upkeep (checkpoints, vacuum).
     * Outside a transaction. May be NULL. */
    bool (*maintain)(struct session *s, bool idle, struct error *err);

    /*
     * Any thread, while the warehouse is open: runs one statement that only reads, in a session and
     * transaction of its own, and appends {"columns":[{"name","type"}],"rows":[[..]],"truncated"}
     * to json. The statement is foreign: it can neither change anything nor reach beyond the
     * warehouse, and is bounded in time, rows, bytes and memory. NULL where people connect to the
     * warehouse itself.
     */
    enum ask_outcome (*ask)(struct warehouse *w, const struct question *q, struct buf *json,
                            struct error *err);

    /*
     * For verification. view: a session without a transaction begins one that only reads, sees what
     * is committed at this moment, and may stand idle; it ends with disconnect. crowded: readers
     * ought to wait a moment (the engine's upkeep); may be NULL.
     */
    bool (*view)(struct session *s, struct error *err);
    bool (*crowded)(struct warehouse *w);
    /*
     * In a view, as often as wanted: hands out all rows of a table, in any order. The values are
     * those that are stored, read back as cols[i].kind has them; ERROR_DATA for a column of a type
     * that no value of that kind is kept in.
     */
    bool (*scan)(struct session *s, const char *schema, const char *table,
                 const struct load_column *cols, int ncols, scan_row_fn *row, void *ctx,
                 struct error *err);

    /* docs/errors.md: the i-th row of what the engine's own errors mean; false: there are no more.
     * May be NULL. */
    bool (*error_note)(size_t i, struct error_note *out);
};

#endif
