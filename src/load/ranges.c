/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounds lie parsed in one array: bound i is where range i + 1 begins. A key's range is found
 * by bisection; of a key only its first column is looked at.
 */
#include "load/ranges.h"

#include "util/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UUID_CHARS 36

struct ranges {
    enum type_kind kind;
    int n;
    struct arena *arena;
    struct value *bounds; /* n - 1 */
    int64_t *s;
};

struct range_judge {
    const struct ranges *r;
    const struct table *table;
    const struct decoder *decoder;
    uint32_t key_id;
    struct arena *scratch;
    struct value *values;
    struct event moving; /* the first half of a key change, in kept; kind 0: none */
    bool moving_counts;
    struct arena *kept;
};

bool ranges_kind(enum type_kind kind)
{
    switch (kind) {
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_DATE:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
    case TYPE_UUID:
    case TYPE_BYTES:
    case TYPE_TEXT:
        return true;
    default:
        return false;
    }
}

static int compare_bytes(const struct value *a, const struct value *b)
{
    size_t n = a->s.len < b->s.len ? a->s.len : b->s.len;
    int c = n > 0 ? memcmp(a->s.p, b->s.p, n) : 0;

    if (c != 0)
        return c < 0 ? -1 : 1;
    return a->s.len < b->s.len ? -1 : a->s.len > b->s.len;
}

int ranges_compare(enum type_kind kind, const struct value *a, const struct value *b)
{
    if (type_kind_is_text(kind)) /* of a uuid too: its digits are lower case, its dashes in place */
        return compare_bytes(a, b);
    return a->i < b->i ? -1 : a->i > b->i;
}

/* --- bounds as text --- */

void ranges_bound_text(struct buf *out, enum type_kind kind, const struct value *v)
{
    size_t i;

    if (!type_kind_is_text(kind))
        buf_printf(out, "%lld", (long long)v->i);
    else if (kind != TYPE_BYTES)
        buf_append(out, v->s.p, v->s.len);
    else
        for (i = 0; i < v->s.len; i++)
            buf_printf(out, "%02x", (unsigned char)v->s.p[i]);
}

static bool parse_number(const char *text, struct value *v)
{
    char *end;

    errno = 0;
    v->i = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_bytes(const char *text, struct arena *a, struct value *v)
{
    size_t n = strlen(text), i;
    char *out = arena_alloc(a, n / 2 + 1);

    for (i = 0; i + 1 < n; i += 2) {
        int high = digit(text[i]), low = digit(text[i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (char)(high << 4 | low);
    }
    v->s.p = out;
    v->s.len = n / 2;
    return n % 2 == 0;
}

static bool is_uuid(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len && len == UUID_CHARS; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? text[i] != '-' : digit(text[i]) < 0)
            return false;
    }
    return len == UUID_CHARS;
}

bool ranges_bound_parse(enum type_kind kind, const char *text, struct arena *a, struct value *v)
{
    v->state = VALUE_SET;
    if (!ranges_kind(kind))
        return false;
    if (!type_kind_is_text(kind))
        return parse_number(text, v);
    if (kind == TYPE_BYTES)
        return parse_bytes(text, a, v);
    v->s.p = arena_strdup(a, text);
    v->s.len = strlen(text);
    return kind != TYPE_UUID || is_uuid(v->s.p, v->s.len);
}

/* --- ranges --- */

static bool broken(const char *what, struct error *err)
{
    error_set(err, ERROR_DATA, "the ranges of keys that a load is made of cannot be used: %s",
              what);
    if (err != NULL)
        err->reload = true;
    return false;
}

static bool take_bounds(struct ranges *r, const struct range *list, struct error *err)
{
    int i;

    if (list[0].from != NULL || list[r->n - 1].to != NULL)
        return broken("they do not hold every key", err);
    for (i = 0; i + 1 < r->n; i++) {
        const char *to = list[i].to, *from = list[i + 1].from;

        if (to == NULL || from == NULL || strcmp(to, from) != 0)
            return broken("they do not follow each other", err);
        if (!ranges_bound_parse(r->kind, to, r->arena, &r->bounds[i]))
            return broken("a bound is not of the key's type", err);
        if (i > 0 && ranges_compare(r->kind, &r->bounds[i - 1], &r->bounds[i]) >= 0)
            return broken("they are not in order", err);
    }
    return true;
}

bool ranges_new(struct ranges **out, enum type_kind kind, const struct range *list, int n,
                struct error *err)
{
    struct ranges *r;
    int i;

    *out = NULL;
    if (!ranges_kind(kind))
        return broken("the key's type has no order here", err);
    if (n < 1)
        return broken("there are none", err);
    r = mem_calloc(1, sizeof(*r));
    r->kind = kind;
    r->n = n;
    r->arena = arena_new("ranges of keys");
    r->bounds = arena_calloc(r->arena, (size_t)n, sizeof(*r->bounds));
    r->s = arena_calloc(r->arena, (size_t)n, sizeof(*r->s));
    for (i = 0; i < n; i++)
        r->s[i] = list[i].s;
    if (!take_bounds(r, list, err)) {
        ranges_free(r);
        return false;
    }
    *out = r;
    return true;
}

void ranges_free(struct ranges *r)
{
    if (r == NULL)
        return;
    arena_free(r->arena);
    mem_free(r);
}

int ranges_find(const struct ranges *r, const struct value *key)
{
    int low = 0, high = r->n - 1; /* the answer is in [low, high] */

    while (low < high) {
        int middle = low + (high - low) / 2;

        if (ranges_compare(r->kind, key, &r->bounds[middle]) < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void ranges_set(struct ranges *r, int i, int64_t s)
{
    r->s[i] = s;
}

int64_t ranges_get(const struct ranges *r, int i)
{
    return r->s[i];
}

int64_t ranges_oldest(const struct ranges *r)
{
    int64_t s = 0;
    int i;

    for (i = 0; i < r->n; i++) {
        if (r->s[i] != 0 && (s == 0 || r->s[i] < s))
            s = r->s[i];
    }
    return s;
}

int64_t ranges_newest(const struct ranges *r)
{
    int64_t s = 0;
    int i;

    for (i = 0; i < r->n; i++) {
        if (r->s[i] > s)
            s = r->s[i];
    }
    return s;
}

int ranges_left(const struct ranges *r)
{
    int n = 0, i;

    for (i = 0; i < r->n; i++)
        n += r->s[i] == 0;
    return n;
}

/* --- judging --- */

struct range_judge *range_judge_new(const struct ranges *r, const struct table *t,
                                    const struct decoder *d, uint32_t key_id)
{
    struct range_judge *j = mem_calloc(1, sizeof(*j));

    j->r = r;
    j->table = t;
    j->decoder = d;
    j->key_id = key_id;
    j->scratch = arena_new("judged key");
    j->kept = arena_new("first half of a key change");
    j->values = mem_calloc((size_t)t->ncols + 1, sizeof(*j->values));
    return j;
}

void range_judge_free(struct range_judge *j)
{
    if (j == NULL)
        return;
    arena_free(j->scratch);
    arena_free(j->kept);
    mem_free(j->values);
    mem_free(j);
}

static bool reload(const struct range_judge *j, const char *why, struct error *err)
{
    error_set(err, ERROR_DATA, "%s.%s: its load by ranges of keys must start again: %s",
              j->table->schema, j->table->name, why);
    if (err != NULL)
        err->reload = true;
    return false;
}

static bool range_of(struct range_judge *j, const struct event *e, int *range, struct error *err)
{
    const struct value *v = &j->values[j->table->keys[0]];
    uint32_t id;

    if (e->key == NULL || !wire_schema_id(e->key, e->key_len, &id) || id != j->key_id)
        return reload(j, "a change came without the key", err);
    arena_reset(j->scratch);
    if (!decoder_key(j->decoder, e->key, e->key_len, j->scratch, j->values, err)) {
        if (err != NULL)
            err->reload = true;
        return false;
    }
    if (v->state != VALUE_SET || (j->r->kind == TYPE_UUID && !is_uuid(v->s.p, v->s.len)))
        return reload(j, "a key lies in no range", err);
    *range = ranges_find(j->r, v);
    return true;
}

static bool counts(struct range_judge *j, const struct event *e, int64_t csn, bool *yes,
                   struct error *err)
{
    int range = 0;

    if (!range_of(j, e, &range, err))
        return false;
    *yes = csn >= j->r->s[range];
    return true;
}

/* All ranges are older, or the truncated rows are in some of them still and gone from others. */
static bool judge_truncate(const struct range_judge *j, const struct event *e, int64_t csn,
                           struct event out[2], int *n, struct error *err)
{
    if (csn < ranges_oldest(j->r))
        return true;
    if (csn < ranges_newest(j->r))
        return reload(j, "the table was truncated between two of its points", err);
    out[(*n)++] = *e;
    return true;
}

static void keep_half(struct range_judge *j, const struct event *e, bool yes)
{
    arena_reset(j->kept);
    j->moving = *e;
    j->moving.key = arena_memdup(j->kept, e->key, e->key_len);
    j->moving.value = arena_memdup(j->kept, e->value, e->value_len);
    j->moving_counts = yes;
}

/* The second half of a key change. */
static bool judge_moved(struct range_judge *j, const struct event *e, bool yes, struct event out[2],
                        int *n, struct error *err)
{
    struct event half = j->moving;

    j->moving.kind = 0;
    if (half.kind == 0)
        return reload(j, "a key change came without its first half", err);
    if (j->moving_counts && yes) {
        out[(*n)++] = half;
        out[(*n)++] = *e;
        return true;
    }
    if (j->moving_counts) {
        half.flags &= (uint8_t)~EVENT_MOVED; /* the row is in the other range's copy, as it was */
        out[(*n)++] = half;
    }
    if (!yes)
        return true;
    if (e->flags & EVENT_UNAVAILABLE)
        return reload(j,
                      "a row changed its key between two of its points, without a column that is "
                      "stored out of line",
                      err);
    out[*n] = *e;
    out[*n].old_key = NULL;
    out[(*n)++].old_key_len = 0;
    return true;
}

bool range_judge_row(struct range_judge *j, const struct event *e, int64_t csn, struct event out[2],
                     int *n, struct error *err)
{
    bool yes;

    *n = 0;
    if (ranges_left(j->r) > 0)
        return error_set(err, ERROR_FATAL, "%s.%s: judged before every range was copied",
                         j->table->schema, j->table->name);
    if (e->op == 't')
        return judge_truncate(j, e, csn, out, n, err);
    if (!counts(j, e, csn, &yes, err))
        return false;
    if (e->op == 'c' && e->old_key_len > 0)
        return judge_moved(j, e, yes, out, n, err);
    if (e->op == 'd' && (e->flags & EVENT_MOVED)) {
        keep_half(j, e, yes);
        return true;
    }
    if (yes)
        out[(*n)++] = *e;
    return true;
}
