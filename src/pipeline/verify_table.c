/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table compared as of one point. Both sides are scanned once into buckets of hashes; where
 * these differ, again, into a set of the rows in them; and once more for the keys and columns that
 * are listed (quality/verify_diff.h). Columns go together by their number at the source, as they
 * do for whatever else follows a table: one that was renamed is the same, one that the log has not
 * told of yet, since no row has changed, is left out and said.
 */
#include "pipeline/verify_internal.h"

#include "quality/verify_canon.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

#define ROOM 400000 /* rows of one pass */
#define SAY_ROWS 16384
#define SWAP_MS 10000    /* a moment in which a table is not what it is shown as */
#define REWRITE_MS 12000 /* after which the source would have told of a rewrite */
#define KEY_SEED UINT64_C(0x9e3779b97f4a7c15)

static const struct source_table *find(const struct source_table *tables, int n, uint32_t oid)
{
    int i;

    for (i = 0; i < n; i++) {
        if (tables[i].table->oid == oid)
            return &tables[i];
    }
    return NULL;
}

/* --- columns --- */

/* "; " between what is said. */
static void note(struct verify_result *out, const char *what, const char *name)
{
    buf_puts(&out->note, out->note.len > 0 ? "; " : "");
    buf_printf(&out->note, "column %s %s", name, what);
}

static int find_attnum(const struct table *t, int attnum)
{
    int i;

    for (i = 0; i < t->ncols; i++) {
        if (t->cols[i].attnum == attnum)
            return i;
    }
    return -1;
}

static bool altered(struct verify_result *out, const char *why)
{
    out->state = "failed";
    snprintf(out->reason, sizeof(out->reason),
             "it was altered at the source (%s), which the log tells with the next change of the "
             "table: verify again then",
             why);
    return false;
}

static bool pair_column(struct comparing *c, const struct flow *f, int at,
                        struct verify_result *out)
{
    const struct column *col = &f->table->cols[at];
    const struct table *now = c->st->table;
    int place = find_attnum(now, col->attnum);
    struct compared *pair = &c->cols[c->n];

    if (place < 0) {
        if (col->key_pos > 0)
            return altered(out, "a column of its key was dropped");
        note(out, "was dropped at the source and is not compared", col->name);
        return true;
    }
    pair->name = col->name;
    pair->place = place;
    pair->at = at;
    pair->kinds[DIFF_A] = now->cols[place].kind;
    pair->kinds[DIFF_B] = f->target->cols[at].kind;
    if (canon_class_of(pair->kinds[DIFF_A]) != canon_class_of(pair->kinds[DIFF_B]))
        return altered(out, "a column has another type");
    c->scan[c->n] = f->target->cols[at];
    if (col->key_pos > 0)
        c->keys[c->nkeys++] = c->n;
    c->n++;
    return true;
}

static bool pair_columns(struct comparing *c, struct verify_result *out)
{
    const struct flow *f = c->view->flow;
    const struct table *now = c->st->table;
    size_t n = (size_t)f->table->ncols + 1;
    int i;

    c->cols = arena_calloc(c->arena, n, sizeof(*c->cols));
    c->scan = arena_calloc(c->arena, n, sizeof(*c->scan));
    c->keys = arena_calloc(c->arena, n, sizeof(*c->keys));
    c->values = arena_calloc(c->arena, n, sizeof(*c->values));
    if (f->table->nkeys != now->nkeys)
        return altered(out, "it has another key");
    for (i = 0; i < f->table->ncols; i++) {
        if (!pair_column(c, f, i, out))
            return false;
    }
    for (i = 0; i < now->ncols; i++) {
        if (find_attnum(f->table, now->cols[i].attnum) < 0)
            note(out, "is not in the warehouse until a row of the table changes",
                 now->cols[i].name);
    }
    return true;
}

/* --- rows --- */

static void put_row(struct comparing *c, const struct value *values)
{
    bool signless = c->v->p->o.warehouse->dialect->signless_zero;
    int i;

    buf_reset(&c->bytes);
    for (i = 0; i < c->n; i++)
        canon_value(&c->bytes, c->cols[i].kinds[c->side], signless, &values[i]);
}

static struct verify_hash key_hash(struct comparing *c, const struct value *values)
{
    bool signless = c->v->p->o.warehouse->dialect->signless_zero;
    int i;

    buf_reset(&c->bytes);
    for (i = 0; i < c->nkeys; i++)
        canon_value(&c->bytes, c->cols[c->keys[i]].kinds[c->side], signless, &values[c->keys[i]]);
    return verify_hash(c->bytes.data, c->bytes.len, c->seed ^ KEY_SEED);
}

static bool keep_going(struct comparing *c, struct error *err)
{
    if (c->seen++ % SAY_ROWS != 0)
        return true;
    if (c->seen > 1)
        verify_say(c->v, "%s of %s.%s %s: %lld rows", c->counting ? "reading" : "looking for rows",
                   c->st->table->schema, c->st->table->name,
                   c->side == DIFF_A ? "at the source" : "in the warehouse", (long long)c->seen);
    return verify_goes_on(c->v, err);
}

/* In the order of c->cols. */
static bool take_row(struct comparing *c, const struct value *values, struct error *err)
{
    struct diff_row r;

    if (!keep_going(c, err))
        return false;
    if (c->nkeys > 0) {
        r.key = key_hash(c, values);
        if (c->list != NULL)
            return listing_take(c->list, c->side, &r.key, values, err);
        if (!c->counting && !diff_wants(c->diff, &r.key))
            return true;
    }
    put_row(c, values);
    r.row = verify_hash(c->bytes.data, c->bytes.len, c->seed);
    if (c->nkeys == 0)
        r.key = r.row;
    if (c->list != NULL)
        return listing_take(c->list, c->side, &r.key, values, err);
    if (c->counting)
        diff_count(c->diff, c->side, &r);
    else
        diff_take(c->diff, c->side, &r);
    return true;
}

/* A value that the setting has replaced by NULL. */
static bool is_nulled(struct comparing *c, int i, const struct value *v)
{
    if (!c->nulls || v->state != VALUE_SET || c->cols[i].kinds[DIFF_A] != c->scan[i].kind)
        return false;
    buf_reset(&c->scratch);
    return c->v->p->o.warehouse->dialect->literal(&c->scratch, &c->scan[i], v) != NULL;
}

static bool on_source_row(void *ctx, const struct table *t, const struct value *values,
                          struct error *err)
{
    struct comparing *c = ctx;
    int i;

    (void)t;
    for (i = 0; i < c->n; i++) {
        c->values[i] = values[c->cols[i].place];
        if (is_nulled(c, i, &c->values[i])) {
            c->values[i].state = VALUE_NULL;
            c->nulled += c->counting;
        }
    }
    return take_row(c, c->values, err);
}

static bool on_warehouse_row(void *ctx, const struct value *values, struct error *err)
{
    return take_row(ctx, values, err);
}

static bool scan_source(struct comparing *c, struct error *err)
{
    const struct source_ops *ops = c->v->p->o.source;
    struct source_reader *reader = NULL;
    bool ok = ops->reader_open(c->view->point, &reader, err);
    int i;

    for (i = 0; ok && i < c->st->nchunks; i++)
        ok = ops->reader_chunk(reader, c->st->table, &c->st->chunks[i], on_source_row, c, err);
    ops->reader_close(reader);
    return ok || error_prefix(err, "the source");
}

static bool scan_both(struct comparing *c, struct error *err)
{
    const struct target *t = c->view->flow->target;

    c->side = DIFF_A;
    c->seen = 0;
    if (!scan_source(c, err))
        return false;
    c->side = DIFF_B;
    c->seen = 0;
    return c->v->p->o.warehouse->scan(c->v->view, t->schema, t->name, c->scan, c->n,
                                      on_warehouse_row, c, err) ||
           error_prefix(err, "the warehouse");
}

/* --- the comparison --- */

static void put_counts(struct comparing *c, const struct diff_result *r, struct verify_result *out)
{
    const struct table *now = c->st->table, *was = c->view->flow->table;

    out->rewritten = now->relfilenode != was->relfilenode;
    out->rows[DIFF_A] = r->rows[DIFF_A];
    out->rows[DIFF_B] = r->rows[DIFF_B];
    out->missing = r->missing;
    out->extra = r->extra;
    out->different = r->different;
    out->at_least = r->at_least;
    out->nulled = c->nulled;
    out->wanted = c->view->wanted;
    out->csn = c->view->s;
    out->flow = c->view->flow;
    snprintf(out->position, sizeof(out->position), "%s", c->view->position);
    out->state = r->missing + r->extra + r->different > 0 || r->at_least ? "different" : "equal";
}

static bool scan_passes(struct comparing *c, struct verify_result *out, struct error *err)
{
    struct diff_result r;
    bool ok;

    c->counting = true;
    ok = scan_both(c, err);
    c->counting = false;
    while (ok && diff_next_pass(c->diff))
        ok = scan_both(c, err);
    if (!ok)
        return false;
    r = diff_result(c->diff);
    put_counts(c, &r, out);
    if (r.nfound == 0)
        return true;
    c->list = listing_new(c, &r);
    ok = scan_both(c, err);
    if (ok)
        listing_end(c->list, out);
    listing_free(c->list);
    c->list = NULL;
    return ok;
}

/* It is loaded again, or is about to be: by itself, for what the log does not tell. */
static bool is_loaded_again(struct verify *v, const struct qualified *t, const struct flow *was)
{
    size_t wanted;
    const struct flow *now = verify_live(v, t->schema, t->name, &wanted);
    const struct want *w;
    bool wants;

    pthread_mutex_lock(&v->p->lock);
    w = map_get_u32(v->p->wants, was->table->oid);
    wants = w != NULL && w->pending;
    pthread_mutex_unlock(&v->p->lock);
    return wants || now == NULL || now->rec.load != was->rec.load;
}

/*
 * What stands between the table and the stream is said, instead of what came of it. Rows that were
 * written anew at the source without the log telling so are found by the source's own looks, every
 * few seconds: they are waited for.
 */
static void doubt(struct verify *v, const struct qualified *t, struct verify_result *out)
{
    int64_t until = clock_mono_ms() + (out->rewritten ? REWRITE_MS : 0);
    struct error ignored;
    bool again;

    if (strcmp(out->state, "different") != 0)
        return;
    if (out->rewritten)
        verify_say(v, "%s.%s was written anew at the source: does the log tell it?", t->schema,
                   t->name);
    while (!(again = is_loaded_again(v, t, out->flow)) && clock_mono_ms() < until &&
           verify_rest(v, &ignored))
        ;
    if (!again)
        return;
    out->state = "failed";
    snprintf(out->reason, sizeof(out->reason),
             "it is being loaded again: its rows were changed at the source in a way that the log "
             "does not tell; verify again when it is live");
}

static bool compare(struct verify *v, const struct verify_view *view, const struct qualified *t,
                    struct verify_result *out, struct error *err)
{
    struct comparing c = {.v = v, .view = view, .arena = arena_new("comparison")};
    struct source_table *tables;
    int n = 0;
    bool ok;

    c.nulls = pipeline_overflow_mode(v->p) == OVERFLOW_NULL;
    c.seed = (uint64_t)clock_wall_us() * UINT64_C(0xd1342543de82ef95);
    c.diff = diff_new(v->what.limit, ROOM);
    verify_say(v, "%s.%s: reading the source's catalogue", t->schema, t->name);
    ok = v->p->o.source->point_tables(view->point, c.arena, &tables, &n, err);
    c.st = ok ? find(tables, n, view->flow->table->oid) : NULL;
    if (ok && (c.st == NULL || c.st->refused != NULL)) {
        out->state = "failed";
        snprintf(out->reason, sizeof(out->reason), "as of the point it is not replicated: %s",
                 c.st != NULL ? c.st->refused : "it is gone at the source");
    } else if (ok && pair_columns(&c, out)) {
        ok = scan_passes(&c, out, err);
    }
    buf_free(&c.bytes);
    buf_free(&c.scratch);
    diff_free(c.diff);
    arena_free(c.arena);
    return ok;
}

/* Errors of this table alone do not end the verification. */
static bool is_tables_own(struct verify *v, const struct error *why)
{
    struct error ignored;

    return verify_goes_on(v, &ignored) && (why->kind == ERROR_DATA || why->table != 0);
}

static bool skip(struct verify_result *out, const char *why)
{
    out->state = "skipped";
    snprintf(out->reason, sizeof(out->reason), "%s", why);
    return true;
}

/* As /v1/tables has it, in arena a; NULL: it is not there any more. */
static const struct board_table *on_board(struct verify *v, struct arena *a,
                                          const struct qualified *t)
{
    struct board_table *list;
    int n, i;

    board_tables(v->p->o.board, a, &list, &n);
    for (i = 0; i < n; i++) {
        if (strcmp(list[i].connector, v->p->o.source_name) == 0 &&
            strcmp(list[i].schema, t->schema) == 0 && strcmp(list[i].name, t->name) == 0)
            return &list[i];
    }
    return NULL;
}

static bool is_shown_live(struct verify *v, const struct qualified *t)
{
    struct arena *a = arena_new("board");
    const struct board_table *b = on_board(v, a, t);
    bool live = b != NULL && b->state == TABLE_LIVE;

    arena_free(a);
    return live;
}

/* Its state, and why. */
static bool skip_state(struct verify *v, const struct qualified *t, struct verify_result *out)
{
    struct arena *a = arena_new("board");
    const struct board_table *b = on_board(v, a, t);

    if (b == NULL)
        skip(out, "the connector does not know it any more");
    else if (b->state == TABLE_LIVE)
        skip(out, "another copy takes its place at this moment: verify again");
    else
        skip(out, arena_printf(a, "it is not live but %s%s%s", table_state_name(b->state),
                               b->reason != NULL ? ": " : "", b->reason != NULL ? b->reason : ""));
    arena_free(a);
    return true;
}

/* A view of it while it is live; view->flow NULL: it is not. While another copy takes its place it
 * is shown as live, and is not for a moment. */
static bool view_live(struct verify *v, const struct qualified *t, struct verify_view *view,
                      struct error *err)
{
    int64_t until = clock_mono_ms() + SWAP_MS;
    struct flow *f;
    size_t wanted;

    memset(view, 0, sizeof(*view));
    do {
        f = verify_live(v, t->schema, t->name, &wanted);
        if (f != NULL && !verify_view_open(v, f->table->oid, view, err))
            return false;
        if (view->flow != NULL && (view->wanted == 0 || clock_mono_ms() >= until))
            return true;
        verify_view_close(v, view);
    } while (is_shown_live(v, t) && clock_mono_ms() < until && verify_rest(v, err));
    return verify_goes_on(v, err);
}

bool verify_table(struct verify *v, const struct qualified *t, struct verify_result *out,
                  struct error *err)
{
    struct verify_view view;
    bool ok;

    memset(out, 0, sizeof(*out));
    verifications_table(
        v->p->o.verifications, v->what.id, (int)(t - v->what.tables),
        json_pack("{s:s, s:s, s:s}", "schema", t->schema, "table", t->name, "state", "running"));
    if (!view_live(v, t, &view, err))
        return error_prefix(err, "%s.%s", t->schema, t->name);
    if (view.flow == NULL)
        return skip_state(v, t, out);
    ok = compare(v, &view, t, out, err);
    verify_view_close(v, &view);
    if (ok) {
        doubt(v, t, out);
        return true;
    }
    if (!is_tables_own(v, err))
        return error_prefix(err, "%s.%s", t->schema, t->name);
    out->state = "failed";
    out->csn = 0;
    snprintf(out->reason, sizeof(out->reason), "%s; verify again", err->message);
    return true;
}

void verify_result_free(struct verify_result *r)
{
    buf_free(&r->note);
    json_decref(r->differences);
}
