/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order inside one piece: rows to the stage, unresolved columns read from the target before any
 * delete, truncate, deletes, upserts. Numbers of touched rows are compared with numbers of staged
 * rows wherever they must agree: a difference means that the target is not what the log says, and
 * the table is loaded again rather than guessed at. Only rows to be resolved may be missing: they
 * are wanted again, with all others that were to be resolved in that piece, for the stage does not
 * say which; to read some too many does no harm.
 */
#include "load/loader.h"

#include "load/text.h"
#include "util/causes.h"
#include "util/mem.h"

#include <stdio.h>

#define NOT_CARRIED "columns that the log did not carry"
/* From this many staged rows on the planner wants statistics (reference/warehouses.md 1.2). */
#define ANALYZE_FROM_ROWS 5000

struct loader {
    const struct warehouse_ops *ops;
    struct session *session;
    const struct target *target;
    const struct decoder *decoder;
    uint32_t oid;
    enum overflow_mode mode;
    struct arena *arena;   /* lives as long as the loader */
    struct arena *scratch; /* one row */
    struct compact *compact;
    char stage[40];
    bool stage_made;
    bool stage_old; /* it has the columns of a former version */
    bool altered;
    bool casts; /* some column is staged as text */
    struct load_column *stage_cols;
    int nstage;
    struct value *row; /* nstage values */
    struct buf texts;  /* as_text values of one row */
    struct buf sql;
    struct appender *appender;
    bool append_staged;
    const char *into_schema, *into_name;
    int64_t appended;
};

/* What follows from the target's columns. */
static void bind_target(struct loader *l, const struct target *t, const struct decoder *d)
{
    int i;

    l->target = t;
    l->decoder = d;
    l->stage_old = true; /* another loader of this session may have left one */
    l->stage_cols = stage_columns(l->arena, t, &l->nstage);
    l->row = arena_calloc(l->arena, (size_t)l->nstage, sizeof(*l->row));
    l->casts = false;
    for (i = 0; i < t->table->ncols; i++)
        l->casts |= t->cols[i].as_text;
}

struct loader *loader_new(const struct warehouse_ops *ops, struct session *s,
                          const struct target *t, const struct decoder *d, uint32_t oid,
                          enum overflow_mode mode)
{
    struct loader *l = mem_calloc(1, sizeof(*l));

    l->ops = ops;
    l->session = s;
    l->oid = oid;
    l->mode = mode;
    l->arena = arena_new("loader");
    l->scratch = arena_new("loader row");
    l->compact = compact_new(t->table, d);
    snprintf(l->stage, sizeof(l->stage), "_penstock_stage_%u", oid);
    bind_target(l, t, d);
    return l;
}

void loader_free(struct loader *l)
{
    if (l == NULL)
        return;
    compact_free(l->compact);
    buf_free(&l->texts);
    buf_free(&l->sql);
    arena_free(l->scratch);
    arena_free(l->arena);
    mem_free(l);
}

struct compact *loader_compact(struct loader *l)
{
    return l->compact;
}

static bool run(struct loader *l, int64_t *affected, struct error *err)
{
    if (l->sql.len == 0)
        return true;
    if (l->ops->exec(l->session, buf_cstr(&l->sql), affected, err))
        return true;
    /* Our statements are fixed and tested: a missing table or column is the target's fault. */
    if (err->kind == ERROR_DATA || err->kind == ERROR_FATAL) {
        err->reload |= err->kind == ERROR_FATAL;
        err->kind = ERROR_DATA;
        err->table = l->oid;
    }
    error_prefix(err, "%s.%s", l->target->schema, l->target->name);
    return false;
}

/* An empty stage: made in the session once (and after an alteration), emptied before each use. */
static bool ready_stage(struct loader *l, struct error *err)
{
    if (l->stage_old) {
        buf_reset(&l->sql);
        sql_stage_drop(&l->sql, l->target, l->stage);
        if (!run(l, NULL, err))
            return false;
        l->stage_made = l->stage_old = false;
    }
    buf_reset(&l->sql);
    if (l->stage_made)
        sql_stage_clear(&l->sql, l->target, l->stage);
    else
        sql_stage_create(&l->sql, l->target, l->stage);
    l->stage_made = true;
    return run(l, NULL, err);
}

static void int_value(struct value *v, int64_t i)
{
    v->state = VALUE_SET;
    v->i = i;
}

/*
 * Where a column is held as text, its value becomes text, made in l->texts: first all texts are
 * written (the buffer may move), then the values are pointed at them.
 */
static void copy_columns(struct loader *l, const struct value *from, struct value *to, int n,
                         const struct load_column *cols)
{
    const struct table *t = l->target->table;
    size_t start = l->texts.len;
    int i;

    for (i = 0; i < n; i++) {
        to[i] = from[i];
        if (from[i].state != VALUE_SET) {
            to[i].state = VALUE_NULL;
        } else if (cols[i].as_text) {
            size_t at = l->texts.len;

            value_to_text(&l->texts, t->cols[i].kind, &from[i]);
            to[i].s.len = l->texts.len - at;
        }
    }
    for (i = 0; i < n; i++) {
        if (to[i].state == VALUE_SET && cols[i].as_text) {
            to[i].s.p = (const char *)l->texts.data + start;
            start += to[i].s.len;
        }
    }
}

/* The origin's key columns, right after _op and _u; they are small: texts of their own row. */
static void origin_columns(struct loader *l, const struct compact_row *r, struct value *to)
{
    const struct table *t = l->target->table;
    int k;

    for (k = 0; k < t->nkeys; k++) {
        int c = t->keys[k];

        to[k].state = VALUE_NULL;
        if (r->origin == NULL)
            continue;
        to[k] = r->origin[c];
        if (l->target->cols[c].as_text && to[k].state == VALUE_SET) {
            struct buf text = {0};

            value_to_text(&text, t->cols[c].kind, &r->origin[c]);
            to[k].s.p = arena_memdup(l->scratch, text.data, text.len);
            to[k].s.len = text.len;
            buf_free(&text);
        }
    }
}

static void stage_row(struct loader *l, const struct compact_row *r)
{
    const struct table *t = l->target->table;
    int data = 2 + t->nkeys;
    char *mask;
    int i;

    arena_reset(l->scratch);
    buf_reset(&l->texts);
    int_value(&l->row[0], r->upsert ? 1 : 0);
    l->row[1].state = VALUE_NULL;
    if (r->unresolved) {
        mask = arena_alloc(l->scratch, (size_t)t->ncols);
        for (i = 0; i < t->ncols; i++)
            mask[i] = r->values[i].state == VALUE_UNCHANGED ? '1' : '0';
        l->row[1].state = VALUE_SET;
        l->row[1].s.p = mask;
        l->row[1].s.len = (size_t)t->ncols;
    }
    origin_columns(l, r, &l->row[2]);
    copy_columns(l, r->values, &l->row[data], t->ncols, l->target->cols);
    int_value(&l->row[data + t->ncols], r->csn);
    int_value(&l->row[data + t->ncols + 1], r->committed_us - VALUE_EPOCH_SHIFT_US);
}

struct counts {
    int64_t upserts, deletes, unresolved, nulled;
};

/* What the piece says of rows that the target lacks, but for those that are to be resolved. */
static bool note_row(struct loader *l, struct wanted *w, const struct compact_row *r,
                     struct error *err)
{
    if (r->wanted && w == NULL)
        return compact_missing(l->compact, "a row lacks a column", NULL, err);
    if (r->wanted)
        wanted_add(w, r);
    else if (!r->unresolved && wanted_count(w) > 0)
        wanted_settle(w, r->key, r->key_len);
    return true;
}

/* The rows that were to be resolved: all of them are wanted if some were missing. */
static bool note_unresolved(struct loader *l, struct wanted *w, bool missing, struct error *err)
{
    const struct compact_row *r;
    size_t at = 0;

    for (;;) {
        if (!compact_next(l->compact, &at, &r, err))
            return false;
        if (r == NULL)
            return true;
        if (!r->unresolved)
            continue;
        if (missing)
            wanted_add(w, r);
        else
            wanted_settle(w, r->key, r->key_len);
    }
}

static bool stage_rows(struct loader *l, struct wanted *w, struct counts *n, struct error *err)
{
    const struct compact_row *r;
    size_t at = 0;

    if (!l->ops->append_open(l->session, NULL, l->stage, true, l->stage_cols, l->nstage, l->mode,
                             &l->appender, err))
        return false;
    for (;;) {
        if (!compact_next(l->compact, &at, &r, err))
            goto fail;
        if (r == NULL)
            break;
        stage_row(l, r);
        if (!l->ops->append_row(l->appender, l->row, err) || !note_row(l, w, r, err))
            goto fail;
        n->upserts += r->upsert;
        n->deletes += !r->upsert;
        n->unresolved += r->unresolved;
    }
    if (!l->ops->append_close(l->appender, &n->nulled, err)) {
        l->appender = NULL;
        goto blame;
    }
    l->appender = NULL;
    return true;
fail:
    l->ops->append_abort(l->appender);
    l->appender = NULL;
blame:
    if (err->kind == ERROR_DATA)
        err->table = l->oid;
    return error_prefix(err, "%s.%s", l->target->schema, l->target->name);
}

/* A count that must agree: the target's rows are what the log says they are. */
static bool agree(struct loader *l, const char *what, int64_t want, int64_t got, struct error *err)
{
    if (want == got)
        return true;
    error_cause(err, CAUSE_COPY_DIFFERS,
                "%s.%s: %s: %lld rows expected in the warehouse, %lld found: the copy differs from "
                "the source (was it changed by hand?)",
                l->target->schema, l->target->name, what, (long long)want, (long long)got);
    err->table = l->oid;
    err->reload = true;
    return false;
}

/* Staged rows whose row in the target is missing become deletes. */
static bool drop_unresolvable(struct loader *l, struct counts *n, int64_t missing,
                              struct error *err)
{
    int64_t dropped = 0;

    buf_reset(&l->sql);
    sql_unresolvable(&l->sql, l->target, l->stage);
    if (!run(l, &dropped, err) || !agree(l, NOT_CARRIED, missing, dropped, err))
        return false;
    n->upserts -= missing;
    n->deletes += missing;
    return true;
}

static bool resolve_stage(struct loader *l, struct wanted *w, struct counts *n, struct error *err)
{
    int64_t touched = 0, missing;

    if (n->unresolved == 0)
        return true;
    buf_reset(&l->sql);
    sql_resolve(&l->sql, l->target, l->stage);
    if (!run(l, &touched, err))
        return false;
    missing = n->unresolved - touched;
    if (missing < 0 || (missing > 0 && (w == NULL || compact_folds(l->compact))))
        return agree(l, NOT_CARRIED, n->unresolved, touched, err);
    if (missing > 0 && !drop_unresolvable(l, n, missing, err))
        return false;
    return (missing == 0 && wanted_count(w) == 0) || note_unresolved(l, w, missing > 0, err);
}

static bool apply_stage(struct loader *l, struct wanted *w, struct counts *n, struct error *err)
{
    bool keyless = l->target->table->nkeys == 0;
    int64_t touched = 0;

    if (n->upserts + n->deletes >= ANALYZE_FROM_ROWS) {
        buf_reset(&l->sql);
        sql_stage_analyze(&l->sql, l->target, l->stage);
        if (!run(l, NULL, err))
            return false;
    }
    if (!resolve_stage(l, w, n, err))
        return false;
    if (n->deletes > 0 || (!keyless && !l->target->dialect->merge && n->upserts > 0)) {
        buf_reset(&l->sql);
        sql_delete(&l->sql, l->target, l->stage);
        if (!run(l, &touched, err))
            return false;
        if (keyless && !agree(l, "delete", n->deletes, touched, err))
            return false;
    }
    if (n->upserts > 0) {
        buf_reset(&l->sql);
        sql_upsert(&l->sql, l->target, l->stage);
        if (!run(l, &touched, err) || !agree(l, "upsert", n->upserts, touched, err))
            return false;
    }
    return true;
}

/* Else the whole table is the better load. */
static bool few_wanted(struct loader *l, const struct wanted *w, struct error *err)
{
    if (wanted_count(w) <= WANTED_MAX)
        return true;
    compact_missing(l->compact, "very many rows lack a column", NULL, err);
    err->table = l->oid;
    return false;
}

bool loader_apply(struct loader *l, struct wanted *w, struct loader_stats *stats, struct error *err)
{
    struct counts n = {0};
    bool ok = true;

    memset(stats, 0, sizeof(*stats));
    if (compact_truncated(l->compact)) {
        if (w != NULL)
            wanted_settle_all(w);
        buf_reset(&l->sql);
        sql_truncate(&l->sql, l->target);
        ok = run(l, NULL, err);
    }
    if (ok && compact_count(l->compact) > 0)
        ok = ready_stage(l, err) && stage_rows(l, w, &n, err) && apply_stage(l, w, &n, err) &&
             few_wanted(l, w, err);
    stats->rows = n.upserts + n.deletes;
    stats->nulled = n.nulled;
    compact_reset(l->compact);
    return ok;
}

bool loader_alter(struct loader *l, const struct target *t, const struct decoder *d,
                  struct encoder *e, const struct alteration *al, struct error *err)
{
    if (!compact_alter(l->compact, t->table, d, e, al, err)) {
        if (err->kind == ERROR_DATA)
            err->table = l->oid;
        return false;
    }
    bind_target(l, t, d);
    l->stage_old = l->stage_old || l->stage_made;
    l->altered = true;
    return true;
}

bool loader_append_begin(struct loader *l, const char *schema, const char *name, struct error *err)
{
    l->append_staged = l->casts || l->altered; /* added columns come after our own */
    l->into_schema = schema;
    l->into_name = name;
    l->appended = 0;
    if (l->append_staged) {
        if (!ready_stage(l, err))
            return false;
        return l->ops->append_open(l->session, NULL, l->stage, true, l->stage_cols, l->nstage,
                                   l->mode, &l->appender, err);
    }
    return l->ops->append_open(l->session, schema, name, false, l->target->cols, l->target->ncols,
                               l->mode, &l->appender, err);
}

bool loader_append_event(struct loader *l, const uint8_t *event, size_t len, struct error *err)
{
    const struct table *t = l->target->table;
    int data = l->append_staged ? 2 + t->nkeys : 0;
    struct event_slices sl;
    struct value *values;
    int i;

    arena_reset(l->scratch);
    buf_reset(&l->texts);
    values = arena_alloc(l->scratch, (size_t)t->ncols * sizeof(*values));
    if (!decoder_slices(l->decoder, event, len, &sl, err) ||
        !decoder_row(l->decoder, sl.after, sl.after_len, sl.unavailable, sl.unavailable_len,
                     l->scratch, values, err))
        return false;
    if (l->append_staged) {
        int_value(&l->row[0], 1);
        for (i = 1; i < data; i++)
            l->row[i].state = VALUE_NULL;
    }
    copy_columns(l, values, &l->row[data], t->ncols, l->target->cols);
    int_value(&l->row[data + t->ncols], sl.csn);
    int_value(&l->row[data + t->ncols + 1], sl.source_us - VALUE_EPOCH_SHIFT_US);
    l->appended++;
    return l->ops->append_row(l->appender, l->row, err);
}

bool loader_append_end(struct loader *l, int64_t *rows, int64_t *nulled, struct error *err)
{
    struct appender *ap = l->appender;
    int64_t touched = 0;

    l->appender = NULL;
    *rows = l->appended;
    if (!l->ops->append_close(ap, nulled, err))
        return false;
    if (!l->append_staged)
        return true;
    buf_reset(&l->sql);
    sql_insert_all(&l->sql, l->target, l->stage, l->into_schema, l->into_name);
    return run(l, &touched, err) && agree(l, "load", l->appended, touched, err);
}

void loader_append_abort(struct loader *l)
{
    if (l->appender != NULL)
        l->ops->append_abort(l->appender);
    l->appender = NULL;
}
