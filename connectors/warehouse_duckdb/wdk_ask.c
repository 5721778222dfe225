/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question of a person, in a session and a read-only transaction of its own: it sees one commit
 * of the source. What may be asked is judged in wdk_ask_guard.c, whether here or in a process of
 * its own in wdk_ask_judge.c, how much of time and memory it may take in wdk_ask_watch.c; rows come
 * in a stream, so that an answer is never in memory whole beyond max_bytes. While a checkpoint has
 * had to give way to readers no new ones begin, so that readers one after another cannot keep the
 * log from being written away for ever.
 */
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"

#include <stdio.h>
#include <string.h>

#define PAUSE_MS 5

struct asking {
    struct warehouse *w;
    struct session *s;
    const struct question *q;
    int64_t deadline_ms;
    struct buf sql;
    bool explain, apart;
    duckdb_extracted_statements extracted;
    duckdb_prepared_statement prepared;
    duckdb_result result;
    bool has_result;
    struct buf *json;
    size_t max_len; /* of json */
    int64_t nrows;
    bool truncated;
    struct error *err;
};

static enum ask_outcome failed(struct asking *a, duckdb_error_type type, const char *message)
{
    const char *said = message == NULL ? "unknown error" : message;

    if (type == DUCKDB_ERROR_OUT_OF_MEMORY) {
        error_set(a->err, ERROR_CONFIG,
                  "The query needs more memory than DuckDB has (duckdb.memory.limit)");
        return ASK_TOO_LARGE;
    }
    error_set(a->err, ERROR_CONFIG, "%s", said);
    if (type == DUCKDB_ERROR_FATAL || strstr(said, "has been invalidated") != NULL)
        return ASK_BUSY;
    return ASK_FAILED;
}

static enum ask_outcome too_large(struct asking *a)
{
    error_set(a->err, ERROR_CONFIG,
              "The answer is larger than %zu MB: ask for fewer rows or columns, or for parts of "
              "the values",
              a->q->max_bytes >> 20);
    return ASK_TOO_LARGE;
}

/* Until the checkpoint that waits for readers has been made. */
static bool pause_for_upkeep(struct asking *a)
{
    while (wdk_wants_pause(a->w) && !wdk_given_up(a->q)) {
        if (clock_mono_ms() >= a->deadline_ms)
            return error_set(a->err, ERROR_RETRY,
                             "The warehouse writes its log away first: ask again");
        clock_sleep_ms(PAUSE_MS);
    }
    return true;
}

static bool begin(struct asking *a)
{
    wdk_gate_enter(a->w);
    a->s->in_transaction = true;
    return wdk_exec(a->s, "BEGIN TRANSACTION READ ONLY", NULL, a->err);
}

static enum ask_outcome prepare(struct asking *a)
{
    duckdb_statement_type type;
    idx_t n = duckdb_extract_statements(a->s->con, buf_cstr(&a->sql), &a->extracted);

    if (n != 1) {
        error_set(a->err, ERROR_CONFIG, "Only one statement at a time");
        return ASK_REFUSED;
    }
    if (duckdb_prepare_extracted_statement(a->s->con, a->extracted, 0, &a->prepared) !=
        DuckDBSuccess)
        return failed(a, DUCKDB_ERROR_BINDER, duckdb_prepare_error(a->prepared));
    type = duckdb_prepared_statement_type(a->prepared);
    if (type == DUCKDB_STATEMENT_TYPE_SELECT ||
        (a->explain && type == DUCKDB_STATEMENT_TYPE_EXPLAIN))
        return ASK_DONE;
    error_set(a->err, ERROR_CONFIG, "Only one statement that reads can be run here");
    return ASK_REFUSED;
}

static enum ask_outcome execute(struct asking *a)
{
    duckdb_pending_result pending = NULL;
    enum ask_outcome out = ASK_DONE;

    if (duckdb_pending_prepared_streaming(a->prepared, &pending) != DuckDBSuccess) {
        out = failed(a, DUCKDB_ERROR_INVALID, duckdb_pending_error(pending));
    } else {
        a->has_result = true;
        if (duckdb_execute_pending(pending, &a->result) != DuckDBSuccess)
            out = failed(a, duckdb_result_error_type(&a->result), duckdb_result_error(&a->result));
    }
    duckdb_destroy_pending(&pending);
    return out;
}

static void put_columns(struct asking *a)
{
    idx_t i, n = duckdb_column_count(&a->result);

    buf_puts(a->json, "{\"columns\":[");
    for (i = 0; i < n; i++) {
        const char *name = duckdb_column_name(&a->result, i);
        duckdb_logical_type lt = duckdb_column_logical_type(&a->result, i);

        buf_puts(a->json, i > 0 ? ",{\"name\":" : "{\"name\":");
        wdk_json_string(a->json, name, strlen(name));
        buf_puts(a->json, ",\"type\":");
        wdk_json_type(a->json, lt);
        buf_u8(a->json, '}');
        duckdb_destroy_logical_type(&lt);
    }
    buf_puts(a->json, "],\"rows\":[");
}

static enum ask_outcome put_row(struct asking *a, duckdb_data_chunk chunk,
                                const duckdb_logical_type *types, idx_t ncols, idx_t row)
{
    idx_t c;

    buf_puts(a->json, a->nrows > 0 ? ",[" : "[");
    for (c = 0; c < ncols; c++) {
        enum wdk_cell done;

        if (c > 0)
            buf_u8(a->json, ',');
        done = wdk_json_cell(a->json, a->max_len, types[c], duckdb_data_chunk_get_vector(chunk, c),
                             row);
        if (done == WDK_CELL_TOO_LARGE || a->json->len > a->max_len)
            return too_large(a);
        if (done == WDK_CELL_NO_TEXT) {
            error_set(a->err, ERROR_CONFIG,
                      "Column %s holds a value that has no text form here: CAST it to VARCHAR",
                      duckdb_column_name(&a->result, c));
            return ASK_FAILED;
        }
    }
    buf_u8(a->json, ']');
    a->nrows++;
    return ASK_DONE;
}

static enum ask_outcome put_chunk(struct asking *a, duckdb_data_chunk chunk,
                                  const duckdb_logical_type *types, idx_t ncols)
{
    idx_t row, n = duckdb_data_chunk_get_size(chunk);
    enum ask_outcome out = ASK_DONE;

    for (row = 0; row < n && out == ASK_DONE; row++) {
        if (a->nrows == a->q->max_rows) {
            a->truncated = true;
            break;
        }
        out = put_row(a, chunk, types, ncols, row);
        if (row % 64 == 0 && clock_mono_ms() >= a->deadline_ms)
            out = wdk_limited(a->q, WDK_LIMIT_TIME, a->err);
    }
    return out;
}

static enum ask_outcome put_rows(struct asking *a)
{
    idx_t i, ncols = duckdb_column_count(&a->result);
    duckdb_logical_type *types = mem_calloc(ncols + 1, sizeof(duckdb_logical_type));
    enum ask_outcome out = ASK_DONE;
    duckdb_data_chunk chunk;
    const char *message;

    for (i = 0; i < ncols; i++)
        types[i] = duckdb_column_logical_type(&a->result, i);
    while (out == ASK_DONE && !a->truncated) {
        chunk = duckdb_fetch_chunk(a->result);
        if (chunk == NULL)
            break;
        out = put_chunk(a, chunk, types, ncols);
        duckdb_destroy_data_chunk(&chunk);
    }
    message = duckdb_result_error(&a->result);
    if (out == ASK_DONE && message != NULL && message[0] != '\0')
        out = failed(a, duckdb_result_error_type(&a->result), message);
    for (i = 0; i < ncols; i++)
        duckdb_destroy_logical_type(&types[i]);
    mem_free(types);
    return out;
}

static enum ask_outcome run(struct asking *a)
{
    enum ask_outcome out;

    FAILPOINT("wdk.ask"); /* to sleep: what heeds no interrupt */
    out = prepare(a);

    if (out == ASK_DONE)
        out = execute(a);
    if (out == ASK_DONE) {
        put_columns(a);
        out = put_rows(a);
    }
    if (out == ASK_DONE)
        buf_printf(a->json, "],\"truncated\":%s}", a->truncated ? "true" : "false");
    return out;
}

/* Results and statements before the transaction ends. */
static void finish(struct asking *a)
{
    if (a->has_result)
        duckdb_destroy_result(&a->result);
    duckdb_destroy_prepare(&a->prepared);
    duckdb_destroy_extracted(&a->extracted);
    if (a->s != NULL && a->s->in_transaction)
        wdk_rollback(a->s);
    wdk_disconnect(a->s);
    buf_free(&a->sql);
}

static enum ask_outcome watched(struct asking *a)
{
    struct wdk_watch *watch = NULL;
    enum ask_outcome out;
    enum wdk_limit limit;

    if (!begin(a) || !wdk_watch_start(&watch, a->s, a->q, a->deadline_ms, a->err))
        return ASK_BUSY;
    out = run(a);
    limit = wdk_watch_stop(watch);
    if (out != ASK_DONE && out != ASK_REFUSED && limit != WDK_LIMIT_NONE)
        out = wdk_limited(a->q, limit, a->err);
    return out;
}

static enum ask_outcome ask(struct asking *a, bool may_go_apart)
{
    if (!pause_for_upkeep(a) || !wdk_connect(a->w, "ask", &a->s, a->err))
        return ASK_BUSY;
    a->apart = may_go_apart;
    if (!wdk_ask_guard(a->s, a->q->sql, &a->sql, &a->explain, &a->apart, a->err))
        return a->err->kind == ERROR_CONFIG ? ASK_REFUSED : ASK_BUSY;
    if (may_go_apart && a->apart)
        return wdk_apart(a->w, a->q, a->deadline_ms, a->json, a->err);
    return watched(a);
}

static enum ask_outcome ask_from(struct warehouse *w, const struct question *q, bool may_go_apart,
                                 struct buf *json, struct error *err)
{
    struct asking a = {.w = w, .q = q, .json = json, .err = err};
    size_t before = json->len;
    enum ask_outcome out;

    a.deadline_ms = clock_mono_ms() + q->timeout_ms;
    a.max_len = before + q->max_bytes;
    out = ask(&a, may_go_apart);
    finish(&a);
    if (out != ASK_DONE)
        json->len = before;
    return out;
}

enum ask_outcome wdk_ask(struct warehouse *w, const struct question *q, struct buf *json,
                         struct error *err)
{
    return ask_from(w, q, true, json, err);
}

enum ask_outcome wdk_ask_here(struct warehouse *w, const struct question *q, struct buf *json,
                              struct error *err)
{
    return ask_from(w, q, false, json, err);
}
