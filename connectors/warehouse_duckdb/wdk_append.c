/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader: rows become data chunks of 2048, typed as the table's columns really are, and go to
 * DuckDB's appender inside the session's open transaction. The chunk is handed over early when its
 * strings are large, and the appender is flushed by bytes, so that memory does not grow with the
 * width of a row.
 */
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"

#include <string.h>

#define CHUNK_BYTES ((size_t)8 << 20)  /* strings of one chunk */
#define FLUSH_BYTES ((size_t)32 << 20) /* strings and rows that DuckDB's appender holds */

/* In the library since 1.5, not in the header of 1.4: forgets what was not flushed. */
extern duckdb_state duckdb_appender_clear(duckdb_appender appender);

struct target_column {
    struct wdk_slot slot;
    wdk_writer write;
    char *name;
    char *type; /* for messages */
    bool strings;
};

struct appender {
    struct session *s;
    duckdb_appender ap;
    duckdb_data_chunk chunk;
    struct target_column *cols;
    int ncols;
    enum overflow_mode mode;
    idx_t rows;          /* in the chunk */
    size_t chunk_bytes;  /* strings in the chunk */
    size_t append_bytes; /* handed over since the last flush */
    size_t row_bytes;    /* fixed part of a row */
    int64_t nulled;
};

static void appender_free(struct appender *ap)
{
    int i;

    if (ap->ap != NULL)
        duckdb_appender_destroy(&ap->ap);
    if (ap->chunk != NULL)
        duckdb_destroy_data_chunk(&ap->chunk);
    for (i = 0; i < ap->ncols; i++) {
        mem_free(ap->cols[i].name);
        mem_free(ap->cols[i].type);
    }
    mem_free(ap->cols);
    mem_free(ap);
}

static bool appender_error(struct appender *ap, struct error *err)
{
    duckdb_error_data e = duckdb_appender_error_data(ap->ap);

    wdk_error(err, duckdb_error_data_error_type(e), duckdb_error_data_message(e));
    duckdb_destroy_error_data(&e);
    ap->s->failed = ap->s->in_transaction;
    return false;
}

/* After a reset the vectors may lie elsewhere. */
static void rewind_chunk(struct appender *ap)
{
    int i;

    duckdb_data_chunk_reset(ap->chunk);
    for (i = 0; i < ap->ncols; i++) {
        struct wdk_slot *slot = &ap->cols[i].slot;

        slot->vector = duckdb_data_chunk_get_vector(ap->chunk, (idx_t)i);
        slot->data = duckdb_vector_get_data(slot->vector);
        slot->validity = NULL;
    }
    ap->rows = 0;
    ap->chunk_bytes = 0;
}

static bool flush_chunk(struct appender *ap, struct error *err)
{
    if (ap->rows == 0)
        return true;
    if (atomic_load(&ap->s->cancelled))
        return error_cause(err, CAUSE_CANCELLED, "DuckDB: cancelled");
    duckdb_data_chunk_set_size(ap->chunk, ap->rows);
    if (duckdb_append_data_chunk(ap->ap, ap->chunk) != DuckDBSuccess)
        return appender_error(ap, err);
    ap->append_bytes += ap->chunk_bytes + ap->rows * ap->row_bytes;
    if (ap->append_bytes > FLUSH_BYTES) {
        if (duckdb_appender_flush(ap->ap) != DuckDBSuccess)
            return appender_error(ap, err);
        ap->append_bytes = 0;
    }
    rewind_chunk(ap);
    return true;
}

/* The column as it is in the table, and who writes values of this kind into it. */
static bool bind_column(struct target_column *c, const struct load_column *lc,
                        duckdb_logical_type lt, struct error *err)
{
    enum type_kind kind = lc->as_text ? TYPE_TEXT : lc->kind;

    c->slot.type = duckdb_get_type_id(lt);
    if (c->slot.type == DUCKDB_TYPE_DECIMAL) {
        c->slot.internal = duckdb_decimal_internal_type(lt);
        c->slot.width = duckdb_decimal_width(lt);
        c->slot.scale = duckdb_decimal_scale(lt);
        c->type = mem_printf("DECIMAL(%d,%d)", c->slot.width, c->slot.scale);
    } else {
        c->type = mem_strdup(lc->type);
    }
    c->name = mem_strdup(lc->name);
    c->strings = c->slot.type == DUCKDB_TYPE_VARCHAR || c->slot.type == DUCKDB_TYPE_BLOB;
    c->write = wdk_writer_for(kind, c->slot.type);
    if (c->write == NULL)
        return error_cause(err, CAUSE_TARGET_ALTERED,
                           "column \"%s\" of the warehouse table has another type than %s, which "
                           "%s values need",
                           lc->name, lc->type, type_kind_name(kind));
    return true;
}

static bool bind_columns(struct appender *ap, const struct load_column *cols, int ncols,
                         struct error *err)
{
    idx_t have = duckdb_appender_column_count(ap->ap);
    duckdb_logical_type *types;
    bool ok = true;
    int i;

    if (have != (idx_t)ncols)
        return error_cause(err, CAUSE_TARGET_ALTERED,
                           "the warehouse table has %d columns where %d are written", (int)have,
                           ncols);
    ap->cols = mem_calloc((size_t)ncols, sizeof(*ap->cols));
    ap->ncols = ncols;
    ap->row_bytes = (size_t)ncols * 16;
    types = mem_calloc((size_t)ncols, sizeof(duckdb_logical_type));
    for (i = 0; i < ncols && ok; i++) {
        types[i] = duckdb_appender_column_type(ap->ap, (idx_t)i);
        ok = bind_column(&ap->cols[i], &cols[i], types[i], err);
    }
    if (ok)
        ap->chunk = duckdb_create_data_chunk(types, (idx_t)ncols);
    for (i = 0; i < ncols; i++) {
        if (types[i] != NULL)
            duckdb_destroy_logical_type(&types[i]);
    }
    mem_free(types);
    return ok;
}

bool wdk_append_open(struct session *s, const char *schema, const char *table, bool temporary,
                     const struct load_column *cols, int ncols, enum overflow_mode mode,
                     struct appender **out, struct error *err)
{
    struct appender *ap;

    if (!wdk_usable(s, err))
        return false;
    ap = mem_calloc(1, sizeof(*ap));
    ap->s = s;
    ap->mode = mode;
    if (duckdb_appender_create_ext(s->con, temporary ? "temp" : WDK_DATABASE,
                                   temporary ? NULL : schema, table, &ap->ap) != DuckDBSuccess) {
        appender_error(ap, err);
        goto fail;
    }
    if (!bind_columns(ap, cols, ncols, err))
        goto fail;
    rewind_chunk(ap);
    *out = ap;
    return true;
fail:
    appender_free(ap);
    return error_prefix(err, "append to %s", table);
}

static void set_null(struct wdk_slot *slot, idx_t row)
{
    if (slot->validity == NULL) {
        duckdb_vector_ensure_validity_writable(slot->vector);
        slot->validity = duckdb_vector_get_validity(slot->vector);
    }
    slot->validity[row >> 6] &= ~(UINT64_C(1) << (row & 63));
}

static bool overflow(struct appender *ap, const struct target_column *c, const char *what,
                     struct error *err)
{
    if (ap->mode == OVERFLOW_NULL) {
        ap->nulled++;
        return true;
    }
    return error_cause(err, CAUSE_VALUE_MISFIT, "column \"%s\": %s cannot be held by %s", c->name,
                       what, c->type);
}

bool wdk_append_row(struct appender *ap, const struct value *values, struct error *err)
{
    const char *what;
    int i;

    for (i = 0; i < ap->ncols; i++) {
        struct target_column *c = &ap->cols[i];
        const struct value *v = &values[i];

        if (v->state == VALUE_NULL) {
            set_null(&c->slot, ap->rows);
            continue;
        }
        if (v->state != VALUE_SET)
            return error_set(err, ERROR_FATAL, "column \"%s\": a value that is not known", c->name);
        what = c->write(&c->slot, ap->rows, v);
        if (what != NULL) {
            if (!overflow(ap, c, what, err))
                return false;
            set_null(&c->slot, ap->rows);
        } else if (c->strings) {
            ap->chunk_bytes += v->s.len;
        }
    }
    ap->rows++;
    if (ap->rows == duckdb_vector_size() || ap->chunk_bytes > CHUNK_BYTES)
        return flush_chunk(ap, err);
    return true;
}

bool wdk_append_close(struct appender *ap, int64_t *nulled, struct error *err)
{
    bool ok = flush_chunk(ap, err);

    if (ok && duckdb_appender_close(ap->ap) != DuckDBSuccess)
        ok = appender_error(ap, err);
    if (!ok) {
        wdk_append_abort(ap);
        return false;
    }
    if (nulled != NULL)
        *nulled = ap->nulled;
    appender_free(ap);
    return true;
}

void wdk_append_abort(struct appender *ap)
{
    if (ap == NULL)
        return;
    duckdb_appender_clear(ap->ap); /* else destroying it writes the rest */
    ap->s->failed = ap->s->in_transaction;
    appender_free(ap);
}
