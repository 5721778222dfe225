/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that reads wanted rows again, with a connection to the source of its own, so that no
 * long load is in its way. One round after another: some keys of each table that wants any, a
 * point S (a temporary slot's), the rows of those keys as of S, in events as a load makes them. A
 * round ends when the sink is done with its rows: so memory holds one round's at most, and what is
 * still wanted then is read anew.
 *
 * The log tells an alteration with the next change of the table, which may be long in coming: the
 * table as of S may be a newer version than the sink has when it has passed S. No row was changed
 * in between, so a row as of S is read in the sink's version: columns are followed by their
 * numbers, those that were added are left out, those that were dropped are NULL, as rows that
 * change later hold them. Where that cannot be (another type), the row is wanted until the log
 * tells. What fails is tried again with back-off.
 */
#include "pipeline/refetch.h"

#include "avro/codec.h"
#include "pipeline/loads_internal.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/retry.h"

#include <stdio.h>
#include <string.h>

#define REST_MS 50
#define GATHER_MS 200
#define TABLE_KEYS 2000
#define ROUND_BYTES ((size_t)16 * 1024 * 1024) /* no further rows are read then */
#define SLICE_FIRST 16 /* keys asked for at once, before the rows' size is known */
#define SLICE_MOST 256
#define SLICE_BYTES ((size_t)4 * 1024 * 1024)

struct refetch {
    struct loads *l;
    struct pipeline *p;
    pthread_t thread;
    bool started;
    struct source *src;
    bool connected;
    struct arena *arena; /* of one round */
    struct fetched *list;
};

/* Rows of one table being read. */
struct reading {
    struct pipeline *p;
    struct fetched *f;
    struct arena *arena;   /* of the round */
    struct arena *scratch; /* of one slice */
    struct map *by_key;    /* struct fetched_row */
    const int *places;     /* of the flow's columns in `table`; -1: dropped */
    struct value *row;     /* the flow's */
    struct encoder *encoder;
    struct event_meta meta;
    struct buf buf;
    const struct table *table; /* as of the point */
};

/* --- what is wanted --- */

static void put_key(struct fetched *f, struct arena *a, const struct wanted_key *k)
{
    struct fetched_row *r = &f->rows[f->n++];
    uint32_t id = htobe32(f->flow->key_id);
    uint8_t *wire = arena_alloc(a, WIRE_PREFIX_SIZE + k->len);

    wire[0] = 0;
    memcpy(wire + 1, &id, sizeof(id));
    memcpy(wire + WIRE_PREFIX_SIZE, k->key, k->len);
    r->key = wire;
    r->key_len = WIRE_PREFIX_SIZE + k->len;
}

/* Some keys of every table. The pipeline's lock is held: the sink changes the list under it. */
static void take_wanted(struct refetch *r)
{
    struct wanted_key *keys = mem_calloc(TABLE_KEYS, sizeof(*keys));
    struct wanting *w;
    size_t n, i;

    for (w = r->p->wanting; w != NULL; w = w->next) {
        struct fetched *f;

        n = w->flow != NULL ? wanted_copy(w->rows, r->arena, TABLE_KEYS, keys) : 0;
        if (n == 0)
            continue;
        f = arena_calloc(r->arena, 1, sizeof(*f));
        f->flow = w->flow;
        f->rows = arena_calloc(r->arena, n, sizeof(*f->rows));
        for (i = 0; i < n; i++)
            put_key(f, r->arena, &keys[i]);
        f->next = r->list;
        r->list = f;
    }
    mem_free(keys);
}

/* --- rows --- */

static bool on_row(void *ctx, const struct table *t, const struct value *values, struct error *err)
{
    struct reading *rd = ctx;
    struct change c = {.op = CHANGE_READ, .table = rd->f->flow->table, .after = rd->row};
    struct fetched_row *row;
    bool unavailable;
    int i;

    (void)t;
    for (i = 0; i < rd->f->flow->table->ncols; i++) {
        if (rd->places[i] >= 0)
            rd->row[i] = values[rd->places[i]];
        else
            rd->row[i].state = VALUE_NULL;
    }
    buf_reset(&rd->buf);
    if (!encoder_key(rd->encoder, rd->row, &rd->buf, err))
        return false;
    row = map_get(rd->by_key, rd->buf.data, rd->buf.len);
    if (row == NULL) { /* equal to one of ours by the source's rules only */
        rd->f->strangers = true;
        return true;
    }
    buf_reset(&rd->buf);
    if (!encoder_value(rd->encoder, &c, &rd->meta, &rd->buf, &unavailable, err))
        return false;
    row->value = arena_memdup(rd->arena, rd->buf.data, rd->buf.len);
    row->value_len = rd->buf.len;
    rd->f->bytes += rd->buf.len + row->key_len;
    return true;
}

/* The key's values, where the table has them as of the point. */
static bool decode_key(struct reading *rd, const struct fetched_row *row, const struct value **out,
                       struct error *err)
{
    const struct flow *flow = rd->f->flow;
    struct value *v = arena_calloc(rd->scratch, (size_t)rd->table->ncols, sizeof(*v));
    int i;

    if (!decoder_key(flow->decoder, row->key, row->key_len, rd->scratch, rd->row, err))
        return false;
    for (i = 0; i < flow->table->nkeys; i++) {
        int at = flow->table->keys[i];

        v[rd->places[at]] = rd->row[at];
    }
    *out = v;
    return true;
}

static bool read_slice(struct reading *rd, struct source_reader *reader, size_t from, size_t n,
                       struct error *err)
{
    const struct value **keys;
    size_t i;

    arena_reset(rd->scratch);
    keys = arena_calloc(rd->scratch, n, sizeof(*keys));
    for (i = 0; i < n; i++) {
        if (!decode_key(rd, &rd->f->rows[from + i], &keys[i], err))
            return false;
    }
    rd->meta.now_us = clock_wall_us();
    return rd->p->o.source->reader_keys(reader, rd->table, keys, (int)n, on_row, rd, err);
}

/* As many as fit; keys that were not asked for are left for another round. */
static bool read_slices(struct reading *rd, struct source_reader *reader, size_t *room,
                        atomic_bool *stop, struct error *err)
{
    struct fetched *f = rd->f;
    size_t at = 0, slice = SLICE_FIRST;

    while (at < f->n && (at == 0 || f->bytes < *room)) {
        size_t n = f->n - at < slice ? f->n - at : slice;

        if (atomic_load(stop))
            return error_set(err, ERROR_RETRY, "stopped");
        if (!read_slice(rd, reader, at, n, err))
            return false;
        at += n;
        slice = SLICE_BYTES * at / (f->bytes + at);
        slice = slice < 1 ? 1 : slice > SLICE_MOST ? SLICE_MOST : slice;
    }
    f->n = at;
    *room -= f->bytes < *room ? f->bytes : *room;
    return true;
}

static bool read_rows(struct refetch *r, struct fetched *f, const struct table *now,
                      const int *places, struct source_reader *reader, size_t *room,
                      struct error *err)
{
    struct pipeline *p = r->p;
    struct reading rd = {.p = p, .f = f, .arena = r->arena, .table = now, .places = places};
    bool ok;
    size_t i;

    rd.scratch = arena_new("keys");
    rd.by_key = map_new();
    rd.row = mem_calloc((size_t)f->flow->table->ncols + 1, sizeof(*rd.row));
    for (i = 0; i < f->n; i++)
        map_put(rd.by_key, f->rows[i].key, f->rows[i].key_len, &f->rows[i]);
    rd.encoder =
        encoder_new(f->flow->table, p->o.source->block, f->flow->value_id, f->flow->key_id);
    rd.meta = (struct event_meta){.csn = f->s - 1,
                                  .source_us = f->us,
                                  .server_name = config_string(p->o.source_config, "topic.prefix"),
                                  .database = p->identity.database,
                                  .snapshot = "true",
                                  .lsn = (uint64_t)f->s};
    ok = read_slices(&rd, reader, room, &r->l->stop, err);
    encoder_free(rd.encoder);
    map_free(rd.by_key);
    mem_free(rd.row);
    arena_free(rd.scratch);
    buf_free(&rd.buf);
    return ok;
}

/* --- tables as of the point --- */

/* What a table as of the point is to the version that the sink has. */
enum meeting {
    MEET_ROWS,  /* its rows can be read in that version */
    MEET_LOAD,  /* a load of the table brings it: the log does not tell, or tells by a load */
    MEET_LATER, /* the log will tell */
};

static bool same_type(const struct column *a, const struct column *b)
{
    return a->kind == b->kind && a->type_oid == b->type_oid && a->typmod == b->typmod &&
           a->precision == b->precision && a->scale == b->scale && a->key_pos == b->key_pos;
}

static enum meeting meet_column(const struct column *c, const struct table *now, int *place)
{
    int i;

    for (i = 0; i < now->ncols && now->cols[i].attnum != c->attnum; i++)
        ;
    *place = i < now->ncols ? i : -1;
    if (i == now->ncols)
        return c->nullable ? MEET_ROWS : MEET_LATER;
    if (!same_type(c, &now->cols[i]))
        return MEET_LATER;
    return now->cols[i].nullable && !c->nullable ? MEET_LOAD : MEET_ROWS;
}

/* places: t->ncols. */
static enum meeting meet(const struct table *t, const struct source_table *st, int *places)
{
    const struct table *now = st->table;
    enum meeting m = MEET_ROWS;
    int i;

    if (st->refused != NULL || strcmp(t->schema, now->schema) != 0 ||
        strcmp(t->name, now->name) != 0)
        return MEET_LOAD;
    if (t->nkeys != now->nkeys)
        return MEET_LATER;
    for (i = 0; i < t->ncols; i++) {
        enum meeting c = meet_column(&t->cols[i], now, &places[i]);

        m = c > m ? c : m;
    }
    return m;
}

static const struct source_table *find(const struct source_table *tables, int n, uint32_t oid)
{
    int i;

    for (i = 0; i < n; i++) {
        if (tables[i].table->oid == oid)
            return &tables[i];
    }
    return NULL;
}

/* *again: nothing can be said of the table under this point. */
static bool read_table(struct refetch *r, struct fetched *f, const struct source_table *st,
                       struct source_reader *reader, size_t *room, bool *again, struct error *err)
{
    const struct table *t = f->flow->table;
    int *places = arena_calloc(r->arena, (size_t)t->ncols + 1, sizeof(*places));
    enum meeting m = st != NULL ? meet(t, st, places) : MEET_LATER;

    *again = m == MEET_LATER;
    f->altered = m == MEET_LOAD;
    if (m != MEET_ROWS || read_rows(r, f, st->table, places, reader, room, err))
        return true;
    if (err->kind == ERROR_RETRY && err->table != 0) {
        log_debug("rows are read under another point table=%s.%s why=%s", t->schema, t->name,
                  err->message);
        *again = true;
        return true;
    }
    if (err->kind != ERROR_DATA)
        return false;
    f->failed = true;
    f->err = *err;
    return true;
}

static bool read_all(struct refetch *r, struct source_point *point, int64_t s, struct error *err)
{
    const struct source_ops *ops = r->p->o.source;
    struct source_reader *reader = NULL;
    struct source_table *tables;
    struct fetched **at = &r->list;
    size_t room = ROUND_BYTES;
    int64_t us = clock_wall_us();
    bool ok, again;
    int n = 0;

    ok = ops->point_tables(point, r->arena, &tables, &n, err) &&
         take_selected(r->p, r->arena, tables, &n, err) && ops->reader_open(point, &reader, err);
    while (ok && *at != NULL && room > 0) {
        struct fetched *f = *at;

        f->s = s;
        f->us = us;
        ok = read_table(r, f, find(tables, n, f->flow->table->oid), reader, &room, &again, err);
        if (again)
            *at = f->next;
        else
            at = &f->next;
    }
    *at = NULL; /* no room for these */
    ops->reader_close(reader);
    return ok;
}

/* --- the thread --- */

static void rest(struct refetch *r, int ms)
{
    int64_t until = clock_mono_ms() + ms;

    while (!atomic_load(&r->l->stop) && clock_mono_ms() < until)
        clock_sleep_ms(REST_MS / 2);
}

/* Until the sink has had them: they are its own meanwhile. False if that will not be. */
static bool hand_over(struct refetch *r, size_t *taken, struct error *err)
{
    struct fetched *f;

    for (f = r->list; f != NULL; f = f->next) {
        struct loads_ask ask = {.fetched = f};

        if (!loads_ask(r->l, &ask, err))
            return false;
    }
    for (f = r->list; f != NULL; f = f->next) {
        while (!atomic_load(&f->done)) {
            if (atomic_load(&r->l->stop))
                return error_set(err, ERROR_RETRY, "stopped");
            clock_sleep_ms(REST_MS / 2);
        }
        *taken += f->taken;
    }
    return true;
}

static bool read_wanted(struct refetch *r, struct error *err)
{
    const struct source_ops *ops = r->p->o.source;
    struct source_point *point = NULL;
    char position[POSITION_SIZE];
    int64_t s;
    bool ok;

    if (!loads_connect_source(r->p, &r->src, &r->connected, err) ||
        !ops->point_open(r->src, false, &point, &s, position, err))
        return false;
    ok = read_all(r, point, s, err);
    ops->point_close(point);
    return ok;
}

/* *over: what was handed over is the sink's for good. */
static bool round_of(struct refetch *r, size_t *taken, bool *over, struct error *err)
{
    arena_reset(r->arena);
    r->list = NULL;
    pthread_mutex_lock(&r->p->lock);
    take_wanted(r);
    pthread_mutex_unlock(&r->p->lock);
    if (r->list == NULL)
        return true;
    if (!read_wanted(r, err))
        return false;
    *over = !hand_over(r, taken, err);
    return !*over;
}

static void *refetch_main(void *arg)
{
    struct refetch *r = arg;
    struct retry retry = {0};
    struct error err;
    bool over = false;

    log_set_connector(r->p->o.source_name);
    while (!atomic_load(&r->l->stop) && !over) {
        size_t taken = 0;

        if (!atomic_load(&r->p->rows_wanted)) {
            retry_reset(&retry);
            rest(r, REST_MS);
            continue;
        }
        rest(r, GATHER_MS);
        error_clear(&err);
        if (atomic_load(&r->l->stop) || round_of(r, &taken, &over, &err)) {
            if (taken > 0)
                retry_reset(&retry);
            else
                rest(r, retry_next_ms(&retry)); /* changed or loaded meanwhile */
        } else if (!over && !atomic_load(&r->l->stop)) {
            if (err.kind == ERROR_FATAL || err.kind == ERROR_CONFLICT) {
                loads_fail(r->l, &err);
                break;
            }
            log_failure(LOG_WARN, "reading rows again: tried again", &err);
            r->connected = false;
            rest(r, retry_next_ms(&retry));
        }
    }
    return NULL;
}

bool refetch_start(struct refetch **out, struct loads *l, struct error *err)
{
    struct refetch *r = mem_calloc(1, sizeof(*r));

    *out = r;
    r->l = l;
    r->p = l->p;
    r->arena = arena_new("rows read again");
    if (!r->p->o.source->open(&r->src, r->p->o.source_config, err))
        return false;
    r->started = pthread_create(&r->thread, NULL, refetch_main, r) == 0;
    return r->started ||
           error_set(err, ERROR_RETRY, "the thread that reads rows again could not be started");
}

void refetch_cancel(struct refetch *r)
{
    if (r != NULL && r->started)
        r->p->o.source->cancel(r->src);
}

void refetch_join(struct refetch *r)
{
    if (r != NULL && r->started)
        pthread_join(r->thread, NULL);
    if (r != NULL)
        r->started = false;
}

void refetch_free(struct refetch *r)
{
    if (r == NULL)
        return;
    r->p->o.source->close(r->src);
    arena_free(r->arena);
    mem_free(r);
}
