/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of rows that differ: their key, and of those that are there on both sides the names
 * of the columns in which they differ. Values of other columns are not shown; of a table without a
 * key a row has no other name than its values. For a repair, also the key as events carry it.
 */
#include "pipeline/verify_internal.h"

#include "avro/codec.h"
#include "load/text.h"
#include "quality/verify_canon.h"
#include "util/log.h"

#include <string.h>

#define TEXT_MOST 200 /* bytes of a value that are shown */

struct item {
    const struct diff_found *found;
    json_t *key;
    uint64_t *columns; /* DIFFERENT: hashes of the source's row; NULL: not seen yet */
    bool *differs;
    struct verify_key wire; /* wire NULL: not to be had */
};

struct listing {
    struct comparing *c;
    struct item *items;
    int n;
    struct map *by_key;
    struct encoder *encoder; /* NULL: no key, or nothing is to be repaired */
    struct value *row;       /* of the flow's table */
    struct buf text;
};

struct listing *listing_new(struct comparing *c, const struct diff_result *r)
{
    struct listing *l = arena_calloc(c->arena, 1, sizeof(*l));
    const struct flow *f = c->view->flow;
    int i;

    l->c = c;
    l->n = r->nfound;
    l->items = arena_calloc(c->arena, (size_t)l->n + 1, sizeof(*l->items));
    l->row = arena_calloc(c->arena, (size_t)f->table->ncols + 1, sizeof(*l->row));
    l->by_key = map_new();
    for (i = 0; i < l->n; i++) {
        l->items[i].found = &r->found[i];
        map_put(l->by_key, &r->found[i].key, sizeof(r->found[i].key), &l->items[i]);
    }
    if (c->nkeys > 0 && c->v->what.repair)
        l->encoder = encoder_new(f->table, c->v->p->o.source->block, f->value_id, f->key_id);
    return l;
}

void listing_free(struct listing *l)
{
    int i;

    for (i = 0; i < l->n; i++)
        json_decref(l->items[i].key);
    map_free(l->by_key);
    encoder_free(l->encoder);
    buf_free(&l->text);
}

/* --- names of rows --- */

/* Not in the middle of a character. */
static json_t *text_json(const struct buf *text)
{
    size_t n = text->len > TEXT_MOST ? TEXT_MOST : text->len;
    const char *p = text->len > 0 ? (const char *)text->data : "";
    json_t *j = NULL;
    int cut;

    for (cut = 0; j == NULL && cut < 4 && (size_t)cut <= n; cut++)
        j = json_stringn(p, n - (size_t)cut);
    return j != NULL ? j : json_string("?");
}

static json_t *value_json(struct listing *l, enum type_kind kind, const struct value *v)
{
    if (v->state != VALUE_SET)
        return json_null();
    buf_reset(&l->text);
    value_to_text(&l->text, kind, v);
    return text_json(&l->text);
}

static json_t *name_row(struct listing *l, enum diff_side side, const struct value *values)
{
    const struct comparing *c = l->c;
    json_t *j = json_object();
    int i, n = c->nkeys > 0 ? c->nkeys : c->n;

    for (i = 0; i < n; i++) {
        int at = c->nkeys > 0 ? c->keys[i] : i;

        json_object_set_new(j, c->cols[at].name,
                            value_json(l, c->cols[at].kinds[side], &values[at]));
    }
    return j;
}

/* In the verification's arena: a repair comes after the comparison. A key that cannot be encoded
 * is none to mend by. */
static void encode_key(struct listing *l, const struct value *values, struct verify_key *out)
{
    const struct comparing *c = l->c;
    struct error ignored;
    int i;

    memset(l->row, 0, (size_t)c->view->flow->table->ncols * sizeof(*l->row));
    for (i = 0; i < c->n; i++)
        l->row[c->cols[i].at] = values[i];
    buf_reset(&l->text);
    if (!encoder_key(l->encoder, l->row, &l->text, &ignored)) {
        log_debug("verification: a key cannot be encoded: %s", ignored.message);
        return;
    }
    out->wire = arena_memdup(c->v->arena, l->text.data, l->text.len);
    out->len = l->text.len;
}

/* --- columns --- */

static void hash_columns(struct listing *l, enum diff_side side, const struct value *values,
                         uint64_t *out)
{
    struct comparing *c = l->c;
    int i;

    for (i = 0; i < c->n; i++) {
        buf_reset(&c->bytes);
        canon_value(&c->bytes, c->cols[i].kinds[side], c->v->p->o.warehouse->dialect->signless_zero,
                    &values[i]);
        out[i] = verify_hash(c->bytes.data, c->bytes.len, c->seed).h[0];
    }
}

static void compare_columns(struct listing *l, struct item *it, enum diff_side side,
                            const struct value *values)
{
    struct comparing *c = l->c;
    size_t n = (size_t)c->n;
    uint64_t *hashes;
    int i;

    if (side == DIFF_A) {
        it->columns = arena_calloc(c->arena, n + 1, sizeof(*it->columns));
        hash_columns(l, side, values, it->columns);
        return;
    }
    if (it->columns == NULL)
        return;
    hashes = arena_calloc(c->arena, n + 1, sizeof(*hashes));
    if (it->differs == NULL)
        it->differs = arena_calloc(c->arena, n + 1, sizeof(*it->differs));
    hash_columns(l, side, values, hashes);
    for (i = 0; i < c->n; i++)
        it->differs[i] |= hashes[i] != it->columns[i];
}

bool listing_take(struct listing *l, enum diff_side side, const struct verify_hash *key,
                  const struct value *values, struct error *err)
{
    struct item *it = map_get(l->by_key, key, sizeof(*key));

    (void)err;
    if (it == NULL)
        return true;
    if (it->key == NULL) {
        it->key = name_row(l, side, values);
        if (l->encoder != NULL)
            encode_key(l, values, &it->wire);
    }
    if (it->found->kind == DIFF_DIFFERENT)
        compare_columns(l, it, side, values);
    return true;
}

/* --- the list --- */

static json_t *columns_json(const struct listing *l, const struct item *it)
{
    json_t *list = json_array();
    int i;

    for (i = 0; it->differs != NULL && i < l->c->n; i++) {
        if (it->differs[i])
            json_array_append_new(list, json_string(l->c->cols[i].name));
    }
    return list;
}

static json_t *item_json(const struct listing *l, const struct item *it)
{
    static const char *const kinds[] = {"missing", "extra", "different"};
    json_t *j = json_object();

    json_object_set_new(j, "kind", json_string(kinds[it->found->kind]));
    json_object_set_new(j, l->c->nkeys > 0 ? "key" : "row",
                        it->key != NULL ? json_incref(it->key) : json_object());
    json_object_set_new(j, "rows", json_integer(it->found->n));
    if (it->found->kind == DIFF_DIFFERENT)
        json_object_set_new(j, "columns", columns_json(l, it));
    return j;
}

/* Floating-point keys have bytes that are not what the row is found by. */
static bool can_be_named(const struct listing *l)
{
    const struct comparing *c = l->c;
    int i;

    for (i = 0; i < c->nkeys; i++) {
        if (canon_class_of(c->cols[c->keys[i]].kinds[DIFF_A]) == CANON_FLOAT)
            return false;
    }
    return l->encoder != NULL;
}

void listing_end(struct listing *l, struct verify_result *out)
{
    bool named = can_be_named(l);
    int i;

    out->differences = json_array();
    out->keys = arena_calloc(l->c->v->arena, (size_t)l->n + 1, sizeof(*out->keys));
    out->nkeys = l->n;
    for (i = 0; i < l->n; i++) {
        const struct item *it = &l->items[i];

        json_array_append_new(out->differences, item_json(l, it));
        out->listed += it->found->n;
        out->keys[i] = it->wire;
        named = named && it->wire.wire != NULL;
    }
    if (!named || out->at_least || out->missing + out->extra + out->different > out->listed)
        out->keys = NULL;
}
