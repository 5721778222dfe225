/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several queries in one message and under one snapshot, so that they agree and cost one round
 * trip. While the server has not answered, status is sent.
 *
 * A commit can be in the log before its transaction is visible to others (it waits for a
 * synchronous standby, say): then the question is asked again until it is.
 */
#include "source_postgres/shape.h"

#include "common/pg_error.h"
#include "source_postgres/shape_internal.h"
#include "source_postgres/stream.h"
#include "source_postgres/watch_internal.h"
#include "util/clock.h"
#include "util/mem.h"

#include <stdlib.h>
#include <string.h>

#define TICK_MS 500
#define VISIBLE_MS 60000 /* how long a transaction may stay invisible */

struct answer {
    PGresult *res[Q_COUNT];
};

static void answer_clear(struct answer *a)
{
    int i;

    for (i = 0; i < Q_COUNT; i++) {
        PQclear(a->res[i]);
        a->res[i] = NULL;
    }
}

bool snapshot_sees(const char *snapshot, uint32_t xid)
{
    char *p;
    uint32_t xmin = (uint32_t)strtoull(snapshot, &p, 10);
    uint32_t xmax = *p == ':' ? (uint32_t)strtoull(p + 1, &p, 10) : xmin;

    if ((int32_t)(xid - xmin) < 0)
        return true;
    if ((int32_t)(xid - xmax) >= 0)
        return false;
    while (*p == ':' || *p == ',') { /* those in progress, without their epoch */
        char *start = p + 1;

        if ((uint32_t)strtoull(start, &p, 10) == xid && p != start)
            return false;
    }
    return true;
}

/* Waits for input on the control connection without forgetting the stream. */
static bool wait_busy(struct source *s, struct pg_conn *c, struct error *err)
{
    bool ready;

    while (PQisBusy(c->pg)) {
        if (!pg_wait(c, clock_mono_ms() + TICK_MS, &ready, err))
            return false;
        if (ready && !PQconsumeInput(c->pg))
            return pg_error_lost(PG_SOURCE, err, c->pg, "reading the catalogue");
        if (!ready && s->stream != NULL && !stream_tick(s, err))
            return false;
    }
    return true;
}

static bool receive(struct source *s, struct pg_conn *c, int want, struct answer *out,
                    struct error *err)
{
    int n = 0;

    for (;;) {
        PGresult *res;
        ExecStatusType status;

        if (!wait_busy(s, c, err))
            return false;
        res = PQgetResult(c->pg);
        if (res == NULL)
            break;
        status = PQresultStatus(res);
        if (status == PGRES_TUPLES_OK && n < Q_COUNT) {
            out->res[n++] = res;
            continue;
        }
        if (status != PGRES_COMMAND_OK)
            pg_error_result(PG_SOURCE, err, c->pg, res, "reading the catalogue");
        PQclear(res);
        if (status != PGRES_COMMAND_OK)
            return false;
    }
    return n == want || error_set(err, ERROR_RETRY,
                                  "reading the catalogue: the server's answer is not complete");
}

/* A session that failed is not used again; one that was lost meanwhile is made anew, once. */
static bool ask(struct source *s, const char *sql, int want, struct answer *out, struct error *err)
{
    int tries;

    memset(out, 0, sizeof(*out));
    for (tries = 0; tries < 2; tries++) {
        struct pg_conn *c;

        if (!pg_control(s, &c, err))
            return false;
        if (pg_send(c, "reading the catalogue", sql, err) && receive(s, c, want, out, err))
            return true;
        answer_clear(out);
        pg_conn_close(s->control);
        s->control = NULL;
        if (err->kind != ERROR_RETRY)
            return false;
    }
    return false;
}

static void take_index(const PGresult *res, int row, int col, struct index_columns *out)
{
    const char *text = PQgetvalue(res, row, col); /* "1:2 3" */
    const char *colon = strchr(text, ':');

    out->n = 0;
    if (colon != NULL)
        catalog_parse_index(colon + 1, atoi(text), out);
}

/* Rows [from, to) are the attributes of one table. False if attnums are missing among them. */
static bool take_states(const PGresult *res, int from, int to, uint8_t *state)
{
    int i;

    for (i = from; i < to; i++) {
        if (pg_int(res, i, A_NUM) != i - from + 1)
            return false;
        state[i - from] = pg_bool(res, i, A_DROPPED)   ? ATTRIBUTE_DROPPED
                          : pg_bool(res, i, A_CARRIED) ? ATTRIBUTE_CARRIED
                                                       : ATTRIBUTE_HIDDEN;
    }
    return true;
}

/* The rows of the table that starts at `from`; returns where the next one does. */
static int end_of_table(const PGresult *res, int from)
{
    int to = from;

    while (to < PQntuples(res) && pg_int(res, to, A_TABLE) == pg_int(res, from, A_TABLE))
        to++;
    return to;
}

static void take_relation(const struct answer *a, int row, struct trace *t)
{
    const PGresult *res = a->res[Q_RELATIONS];

    t->snapshot = PQgetvalue(a->res[Q_SNAPSHOT], 0, 0);
    take_index(res, row, R_PRIMARY, &t->primary);
    take_index(res, row, R_IDENTITY, &t->identity);
}

struct trace *trace_copy(const struct trace *t)
{
    size_t states = (size_t)t->columns.n, text = strlen(t->snapshot) + 1;
    struct trace *c = mem_alloc(sizeof(*c) + states + text);
    uint8_t *bytes = (uint8_t *)(c + 1);

    *c = *t;
    if (states > 0)
        memcpy(bytes, t->columns.state, states);
    memcpy(bytes + states, t->snapshot, text);
    c->columns.state = bytes;
    c->snapshot = (const char *)(bytes + states);
    return c;
}

void trace_free(struct trace *t)
{
    mem_free(t);
}

/* One that could not be taken is not there: the table is asked for by itself when it matters. */
static void put_traces(const struct answer *a, struct map *out)
{
    const PGresult *attributes = a->res[Q_ATTRIBUTES];
    struct map *rows = map_new(); /* where a relation's row is, plus one */
    uint8_t *state = mem_alloc((size_t)PQntuples(attributes) + 1);
    int i, to;

    for (i = 0; i < PQntuples(a->res[Q_RELATIONS]); i++)
        map_put_u32(rows, (uint32_t)pg_int(a->res[Q_RELATIONS], i, R_OID),
                    (void *)(uintptr_t)(i + 1));
    for (i = 0; i < PQntuples(attributes); i = to) {
        uint32_t oid = (uint32_t)pg_int(attributes, i, A_TABLE);
        uintptr_t row = (uintptr_t)map_get_u32(rows, oid);
        struct trace t = {.columns = {.state = state}};

        to = end_of_table(attributes, i);
        t.columns.n = to - i;
        if (row == 0 || !take_states(attributes, i, to, state))
            continue;
        take_relation(a, (int)row - 1, &t);
        trace_free(map_put_u32(out, oid, trace_copy(&t)));
    }
    map_free(rows);
    mem_free(state);
}

bool shape_traces(struct source *s, const struct stream_table *tables, int n, struct map *out,
                  struct error *err)
{
    struct buf oids = {0}, sql = {0};
    struct answer a;
    bool ok;
    int i;

    for (i = 0; i < n; i++) {
        if (!tables[i].skip)
            buf_printf(&oids, "%s%u", oids.len > 0 ? "," : "", tables[i].table->oid);
    }
    shape_sql_traces(s, buf_cstr(&oids), &sql);
    ok = ask(s, buf_cstr(&sql), Q_ATTRIBUTES + 1, &a, err);
    buf_free(&oids);
    buf_free(&sql);
    if (!ok)
        return false;
    put_traces(&a, out);
    answer_clear(&a);
    return true;
}

static struct storage take_storage(const PGresult *res, int row, int len, int by_value, int align)
{
    return (struct storage){.known = true,
                            .len = (int)pg_int(res, row, len),
                            .by_value = pg_bool(res, row, by_value),
                            .align = PQgetvalue(res, row, align)[0]};
}

static void take_attribute(struct arena *a, const PGresult *res, int row, enum attribute_state st,
                           struct attribute *out)
{
    out->state = st;
    out->long_gone = pg_bool(res, row, A_LONG_GONE);
    out->name = arena_strdup(a, PQgetvalue(res, row, A_NAME));
    out->type_oid = (uint32_t)pg_int(res, row, A_TYPE);
    out->typmod = (int32_t)pg_int(res, row, A_TYPMOD);
    out->not_null = pg_bool(res, row, A_NOT_NULL);
    out->storage = take_storage(res, row, A_LEN, A_BY_VALUE, A_ALIGN);
    if (pg_bool(res, row, A_HAS_MISSING)) {
        out->missing = MISSING_VALUE;
        out->missing_text = arena_strdup(a, PQgetvalue(res, row, A_MISSING));
    }
}

/* Of a partition root, whose leaves hold the rows. */
static void take_missing(struct arena *a, const PGresult *res, struct attribute *list, int n)
{
    int i, k;

    for (i = 0; i < PQntuples(res); i++) {
        const char *first = PQgetvalue(res, i, M_FIRST);
        int64_t missing = pg_int(res, i, M_MISSING);

        for (k = 0; k < n; k++) {
            if (list[k].state == ATTRIBUTE_DROPPED ||
                strcmp(list[k].name, PQgetvalue(res, i, M_NAME)) != 0 || missing == 0)
                continue;
            list[k].missing = MISSING_MIXED;
            if (missing == pg_int(res, i, M_LEAVES) &&
                strcmp(first, PQgetvalue(res, i, M_LAST)) == 0) {
                list[k].missing = MISSING_VALUE;
                list[k].missing_text = arena_strdup(a, first);
            }
        }
    }
}

static void take_attributes(struct arena *a, const struct answer *ans, struct shape *out)
{
    const PGresult *res = ans->res[Q_ATTRIBUTES];
    int n = PQntuples(res);
    uint8_t *state = arena_calloc(a, (size_t)n + 1, 1);
    struct attribute *list = arena_calloc(a, (size_t)n + 1, sizeof(*list));
    int i;

    out->exists = out->exists && take_states(res, 0, n, state);
    for (i = 0; i < n; i++)
        take_attribute(a, res, i, state[i], &list[i]);
    take_missing(a, ans->res[Q_MISSING], list, n);
    out->attributes = (struct attributes){n, list};
    out->trace.columns = (struct footprint){n, state};
}

static void take_type(struct arena *a, const PGresult *res, int row, struct announced_type *t)
{
    struct pg_type_facts *f = &t->facts;
    const char **labels;

    t->found = true;
    f->oid = (uint32_t)pg_int(res, row, T_OID);
    f->typmod = (int32_t)pg_int(res, row, T_TYPMOD);
    f->name = arena_strdup(a, PQgetvalue(res, row, T_NAME));
    f->pg_catalog = pg_bool(res, row, T_CATALOG);
    f->type = PQgetvalue(res, row, T_TYPE)[0];
    f->category = PQgetvalue(res, row, T_CATEGORY)[0];
    f->format = arena_strdup(a, PQgetvalue(res, row, T_FORMAT));
    if (PQgetisnull(res, row, T_LABELS))
        return;
    labels = arena_calloc(a, 1, sizeof(*labels)); /* they are only ever joined again */
    labels[0] = arena_strdup(a, PQgetvalue(res, row, T_LABELS));
    f->labels = labels;
    f->nlabels = 1;
}

static void take_types(struct arena *a, const PGresult *res, int ncols, struct shape *out)
{
    struct announced_type *types = arena_calloc(a, (size_t)ncols + 1, sizeof(*types));
    struct storage *storage = arena_calloc(a, (size_t)ncols + 1, sizeof(*storage));
    int i;

    for (i = 0; i < PQntuples(res); i++) {
        int column = (int)pg_int(res, i, T_COLUMN) - 1;

        if (column < 0 || column >= ncols)
            continue;
        take_type(a, res, i, &types[column]);
        storage[column] = take_storage(res, i, T_LEN, T_BY_VALUE, T_ALIGN);
    }
    out->types = types;
    out->storage = storage;
}

static void take_shape(struct source *s, struct arena *a, const struct table *t,
                       const struct pgoutput_relation *r, uint32_t xid, const struct answer *ans,
                       struct shape *out)
{
    const PGresult *rel = ans->res[Q_RELATIONS];
    struct watch_verdict v;

    memset(out, 0, sizeof(*out));
    out->exists = PQntuples(rel) == 1;
    if (out->exists)
        take_relation(ans, 0, &out->trace);
    out->trace.snapshot = arena_strdup(a, PQgetvalue(ans->res[Q_SNAPSHOT], 0, 0));
    take_attributes(a, ans, out);
    take_types(a, ans->res[Q_TYPES], r->ncols, out);
    watch_weigh(s->watch, t, ans->res[Q_WATCH], xid, &v);
    out->file = v.file;
    out->unmoved = v.unmoved;
    out->rewritten = v.rewritten[0] != '\0' ? arena_strdup(a, v.rewritten) : NULL;
    out->doubt = v.doubt[0] != '\0' ? arena_strdup(a, v.doubt) : NULL;
}

/* Between two questions; a cancel ends it. */
static bool nap(struct source *s, int ms, struct error *err)
{
    bool ready;

    if (s->stream != NULL && !stream_tick(s, err))
        return false;
    return s->control == NULL || pg_wait(s->control, clock_mono_ms() + ms, &ready, err);
}

static bool ask_until_visible(struct source *s, const char *sql, uint32_t xid, struct answer *out,
                              struct error *err)
{
    int64_t end = clock_mono_ms() + VISIBLE_MS;
    int ms;

    for (ms = 1;; ms = ms < 100 ? ms * 2 : 200) {
        if (!ask(s, sql, Q_COUNT, out, err))
            return false;
        if (snapshot_sees(PQgetvalue(out->res[Q_SNAPSHOT], 0, 0), xid))
            return true;
        answer_clear(out);
        if (clock_mono_ms() >= end)
            return error_set(err, ERROR_RETRY,
                             "transaction %u is in the log, but after %d s the server does not "
                             "show it yet: does it wait for a synchronous standby?",
                             xid, VISIBLE_MS / 1000);
        if (!nap(s, ms, err))
            return false;
    }
}

bool shape_ask(struct source *s, struct arena *a, const struct table *t,
               const struct pgoutput_relation *r, uint32_t xid, struct shape *out,
               struct error *err)
{
    struct buf sql = {0};
    struct answer ans;
    bool ok;

    shape_sql_one(s, t->oid, r, &sql);
    ok = ask_until_visible(s, buf_cstr(&sql), xid, &ans, err);
    buf_free(&sql);
    if (!ok)
        return false;
    take_shape(s, a, t, r, xid, &ans, out);
    answer_clear(&ans);
    return true;
}
