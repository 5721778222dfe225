/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of an attnum at the moment of the R message, in this order:
 *
 *   gone     dropped at the floor, or dropped long ago: it cannot be in R
 *   live     carried at the floor, or known: it is in R if it is carried now, since columns never
 *            come back from being dropped; if it was dropped since, it may be
 *   unborn   above every attnum of the floor or of the known version: it may be in R, but only if
 *            each unborn one below it that is live now is too, for they were added in order
 *   maybe    there was a column of that attnum that the known version does not have (dropped,
 *            generated, or nothing is known of it): it may be in R
 *
 * A column that is live now and not carried is taken never to have been: whether the publication
 * changed is asked elsewhere (watch.h). Of the ways to give attnums to R's columns in rising order
 * under these rules only the number matters, and whether it is one: counted from the end, for each
 * suffix of attributes and of columns, up to two.
 */
#include "source_postgres/alter.h"

#include "util/mem.h"

#include <string.h>

enum { OID_TEXT = 25, OID_VARCHAR = 1043, OID_NUMERIC = 1700 };

/* Of varbit, time, timestamp, timestamptz, interval and timetz: precision only. */
static const uint32_t typmod_only[] = {1562, 1083, 1114, 1184, 1186, 1266};

enum past { PAST_GONE, PAST_LIVE, PAST_UNBORN, PAST_MAYBE };

int alter_known(const struct table *was, int attnum)
{
    int i;

    for (i = 0; i < was->ncols; i++) {
        if (was->cols[i].attnum == attnum)
            return i;
    }
    return -1;
}

static enum past past_of(const struct alter_case *c, int attnum)
{
    const struct footprint *f = c->floor;

    if (c->now->list[attnum - 1].long_gone)
        return PAST_GONE;
    if (f != NULL && attnum > f->n)
        return PAST_UNBORN;
    if (f != NULL && f->state[attnum - 1] != ATTRIBUTE_HIDDEN)
        return f->state[attnum - 1] == ATTRIBUTE_CARRIED ? PAST_LIVE : PAST_GONE;
    if (f == NULL && alter_known(c->was, attnum) >= 0)
        return PAST_LIVE;
    if (f == NULL && c->natts > 0 && attnum > c->natts)
        return PAST_UNBORN;
    return PAST_MAYBE;
}

/* What may be done with an attribute. */
struct choice {
    bool assign, skip;
    bool ordered; /* unborn: not after one that was skipped and is live */
    bool bars;    /* skipping it bars those */
};

static struct choice choice_of(const struct alter_case *c, int attnum)
{
    const struct attribute *a = &c->now->list[attnum - 1];
    enum past past = past_of(c, attnum);
    bool carried = a->state == ATTRIBUTE_CARRIED;
    struct choice ch = {.assign = true, .skip = true};

    if (past == PAST_GONE || a->state == ATTRIBUTE_HIDDEN)
        ch.assign = false;
    else if (past == PAST_LIVE && carried)
        ch.skip = false;
    ch.ordered = past == PAST_UNBORN;
    ch.bars = past == PAST_UNBORN && carried;
    return ch;
}

static bool fits(const struct alter_case *c, int column, int attnum)
{
    const struct storage *r = &c->storage[column];
    const struct storage *a = &c->now->list[attnum - 1].storage;

    return !r->known || !a->known ||
           (r->len == a->len && r->by_value == a->by_value && r->align == a->align);
}

/* ways[attribute][column][barred]: how many ways there are for what follows, two at most. */
struct count {
    const struct alter_case *c;
    const struct choice *choices;
    uint8_t *ways;
    int columns;
};

static uint8_t *ways_at(const struct count *n, int attribute, int column, bool barred)
{
    size_t row = (size_t)attribute * (size_t)(n->columns + 1) + (size_t)column;

    return &n->ways[row * 2 + barred];
}

static uint8_t ways_assigned(const struct count *n, int j, int i, bool barred)
{
    const struct choice *ch = &n->choices[j];

    if (i == n->columns || !ch->assign || (ch->ordered && barred) || !fits(n->c, i, j + 1))
        return 0;
    return *ways_at(n, j + 1, i + 1, barred);
}

static uint8_t ways_skipped(const struct count *n, int j, int i, bool barred)
{
    return n->choices[j].skip ? *ways_at(n, j + 1, i, barred || n->choices[j].bars) : 0;
}

static void count_ways(struct count *n, int attributes)
{
    int j, i, barred;

    for (barred = 0; barred < 2; barred++)
        *ways_at(n, attributes, n->columns, barred) = 1;
    for (j = attributes - 1; j >= 0; j--) {
        for (i = 0; i <= n->columns; i++) {
            for (barred = 0; barred < 2; barred++) {
                int sum = ways_assigned(n, j, i, barred) + ways_skipped(n, j, i, barred);

                *ways_at(n, j, i, barred) = (uint8_t)(sum > 2 ? 2 : sum);
            }
        }
    }
}

/* One of the ways: with early, the one that assigns as soon as it can, else as late. */
static void walk(const struct count *n, bool early, int *attnums)
{
    bool barred = false;
    int i = 0, j;

    for (j = 0; i < n->columns; j++) {
        bool can = ways_assigned(n, j, i, barred) > 0;
        bool must = ways_skipped(n, j, i, barred) == 0;

        if (can && (early || must))
            attnums[i++] = j + 1;
        else
            barred |= n->choices[j].bars;
    }
}

enum alter_result alter_map(const struct alter_case *c, int *attnums, int *unclear)
{
    size_t cells = (size_t)(c->now->n + 1) * (size_t)(c->r->ncols + 1) * 2;
    struct choice *choices = mem_calloc((size_t)c->now->n + 1, sizeof(*choices));
    int *late = mem_calloc((size_t)c->r->ncols + 1, sizeof(*late));
    struct count n = {.c = c, .choices = choices, .columns = c->r->ncols};
    uint8_t ways;
    int j;

    n.ways = mem_calloc(cells, 1);
    for (j = 0; j < c->now->n; j++)
        choices[j] = choice_of(c, j + 1);
    count_ways(&n, c->now->n);
    ways = *ways_at(&n, 0, 0, false);
    if (ways > 0)
        walk(&n, true, attnums);
    if (ways > 1)
        walk(&n, false, late);
    for (*unclear = 0; ways > 1 && attnums[*unclear] == late[*unclear];)
        (*unclear)++;
    mem_free(n.ways);
    mem_free(late);
    mem_free(choices);
    return ways == 0 ? ALTER_NONE : ways == 1 ? ALTER_ONE : ALTER_MANY;
}

bool alter_added(const struct alter_case *c, int attnum)
{
    return alter_known(c->was, attnum) < 0 && c->natts > 0 && attnum > c->natts;
}

int alter_natts(const struct alter_case *c, const int *attnums)
{
    int natts = c->natts;
    int i;

    if (c->floor != NULL && c->floor->n > natts)
        natts = c->floor->n;
    for (i = 0; i < c->r->ncols && natts > 0; i++) {
        if (attnums[i] > natts)
            natts = attnums[i];
    }
    return natts;
}

int alter_natts_later(const struct table *was, int natts, const struct footprint *f)
{
    int i, carried = 0;

    for (i = 0; i < f->n; i++) {
        if (f->state[i] != ATTRIBUTE_CARRIED)
            continue;
        if (alter_known(was, i + 1) < 0)
            return natts;
        carried++;
    }
    return carried == was->ncols && f->n > natts ? f->n : natts;
}

/* numeric(p,s): ((p << 16) | (s & 0x7ff)) + 4. */
static bool numeric_keeps(int32_t from, int32_t to)
{
    if (to < 4)
        return true;
    return from >= 4 && (((uint32_t)from - 4) & 0x7ff) == (((uint32_t)to - 4) & 0x7ff);
}

bool alter_keeps_values(uint32_t from, int32_t from_typmod, uint32_t to, int32_t to_typmod)
{
    size_t i;

    if ((from == OID_TEXT || from == OID_VARCHAR) && (to == OID_TEXT || to == OID_VARCHAR))
        return true;
    if (from != to)
        return false;
    if (from_typmod == to_typmod)
        return true;
    if (from == OID_NUMERIC)
        return numeric_keeps(from_typmod, to_typmod);
    for (i = 0; i < sizeof(typmod_only) / sizeof(typmod_only[0]); i++) {
        if (from == typmod_only[i])
            return true;
    }
    return false;
}

const char *alter_only_element(struct arena *a, const char *array)
{
    size_t len = strlen(array), at, n = 0;
    char *out;

    if (len < 3 || array[0] != '{' || array[len - 1] != '}')
        return NULL;
    if (array[1] != '"') /* what needs no quotes holds neither quotes nor backslashes */
        return strcmp(array, "{NULL}") == 0 ? NULL : arena_strndup(a, array + 1, len - 2);
    out = arena_alloc(a, len);
    for (at = 2; at < len - 1 && array[at] != '"'; at++) {
        at += array[at] == '\\';
        out[n++] = array[at];
    }
    out[n] = '\0';
    return at == len - 2 ? out : NULL;
}
