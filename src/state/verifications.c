/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mutex over one array in the order of arrival; the oldest that has ended makes room for a new
 * one. References of JSON values are counted under the lock only: what goes out is a deep copy.
 */
#include "state/verifications.h"

#include "util/clock.h"
#include "util/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct slot {
    struct verification what; /* strings in arena */
    struct arena *arena;
    enum verification_state state;
    bool cancelled;
    char doing[200];
    char error[1200];
    int64_t asked_us, began_us, ended_us; /* 0: not yet */
    json_t **tables;
};

struct verifications {
    pthread_mutex_t lock;
    int64_t last_id;
    struct slot *slots[VERIFICATIONS_KEPT];
    int n;
};

static const char *state_name(enum verification_state state)
{
    static const char *const names[] = {"waiting", "running", "done", "failed", "cancelled"};

    return names[state];
}

static bool has_ended(const struct slot *s)
{
    return s->state >= VERIFICATION_DONE;
}

struct verifications *verifications_new(void)
{
    struct verifications *v = mem_calloc(1, sizeof(*v));

    pthread_mutex_init(&v->lock, NULL);
    return v;
}

static void slot_free(struct slot *s)
{
    int i;

    for (i = 0; i < s->what.n; i++)
        json_decref(s->tables[i]);
    mem_free(s->tables);
    arena_free(s->arena);
    mem_free(s);
}

void verifications_free(struct verifications *v)
{
    int i;

    if (v == NULL)
        return;
    for (i = 0; i < v->n; i++)
        slot_free(v->slots[i]);
    pthread_mutex_destroy(&v->lock);
    mem_free(v);
}

static void copy_what(struct arena *a, const struct verification *from, struct verification *to)
{
    struct qualified *tables = arena_calloc(a, (size_t)from->n + 1, sizeof(*tables));
    int i;

    *to = *from;
    to->connector = arena_strdup(a, from->connector);
    for (i = 0; i < from->n; i++)
        tables[i] = (struct qualified){arena_strdup(a, from->tables[i].schema),
                                       arena_strdup(a, from->tables[i].name)};
    to->tables = tables;
}

static json_t *waiting_table(const struct qualified *t)
{
    return json_pack("{s:s, s:s, s:s}", "schema", t->schema, "table", t->name, "state", "waiting");
}

static struct slot *slot_new(const struct verification *what)
{
    struct slot *s = mem_calloc(1, sizeof(*s));
    int i;

    s->arena = arena_new("verification");
    copy_what(s->arena, what, &s->what);
    s->tables = mem_calloc((size_t)what->n + 1, sizeof(json_t *));
    for (i = 0; i < what->n; i++)
        s->tables[i] = waiting_table(&s->what.tables[i]);
    s->asked_us = clock_wall_us();
    return s;
}

/* The lock is held. */
static bool make_room(struct verifications *v)
{
    int i;

    if (v->n < VERIFICATIONS_KEPT)
        return true;
    for (i = 0; i < v->n && !has_ended(v->slots[i]); i++)
        ;
    if (i == v->n)
        return false;
    slot_free(v->slots[i]);
    v->n--;
    memmove(&v->slots[i], &v->slots[i + 1], (size_t)(v->n - i) * sizeof(struct slot *));
    return true;
}

bool verifications_add(struct verifications *v, const struct verification *what, int64_t *id)
{
    bool room;

    pthread_mutex_lock(&v->lock);
    room = make_room(v);
    if (room) {
        struct slot *s = slot_new(what);

        *id = s->what.id = ++v->last_id;
        v->slots[v->n++] = s;
    }
    pthread_mutex_unlock(&v->lock);
    return room;
}

/* The lock is held. */
static struct slot *find(struct verifications *v, int64_t id)
{
    int i;

    for (i = 0; i < v->n; i++) {
        if (v->slots[i]->what.id == id)
            return v->slots[i];
    }
    return NULL;
}

/* --- as JSON; the lock is held --- */

static json_t *time_or_null(int64_t us)
{
    char text[40];

    return us == 0 ? json_null() : json_string(clock_iso(us, text, sizeof(text)));
}

static json_t *text_or_null(const char *s)
{
    json_t *j = s[0] != '\0' ? json_string(s) : NULL;

    return j != NULL ? j : json_null();
}

/* Of one that is done: no difference is left, and every table was compared. */
static bool is_equal(const struct slot *s)
{
    int i;

    for (i = 0; i < s->what.n; i++) {
        const char *state = json_string_value(json_object_get(s->tables[i], "state"));

        if (state == NULL || strcmp(state, "equal") != 0)
            return false;
    }
    return true;
}

static json_t *tables_of(const struct slot *s, bool whole)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < s->what.n; i++) {
        json_t *j = whole ? json_deep_copy(s->tables[i]) : json_copy(s->tables[i]);

        if (!whole)
            json_object_del(j, "differences");
        json_array_append_new(list, whole ? j : json_deep_copy(j));
        if (!whole)
            json_decref(j);
    }
    return list;
}

static json_t *as_json(const struct slot *s, bool whole)
{
    json_t *j = json_object();

    json_object_set_new(j, "id", json_integer(s->what.id));
    json_object_set_new(j, "connector", json_string(s->what.connector));
    json_object_set_new(j, "state", json_string(state_name(s->state)));
    json_object_set_new(j, "equal",
                        s->state == VERIFICATION_DONE ? json_boolean(is_equal(s)) : json_null());
    json_object_set_new(j, "doing", has_ended(s) ? json_null() : text_or_null(s->doing));
    json_object_set_new(j, "error", text_or_null(s->error));
    json_object_set_new(j, "repair", json_boolean(s->what.repair));
    json_object_set_new(j, "limit", json_integer(s->what.limit));
    json_object_set_new(j, "asked_at", time_or_null(s->asked_us));
    json_object_set_new(j, "began_at", time_or_null(s->began_us));
    json_object_set_new(j, "ended_at", time_or_null(s->ended_us));
    json_object_set_new(j, "tables", tables_of(s, whole));
    return j;
}

json_t *verifications_one(struct verifications *v, int64_t id)
{
    const struct slot *s;
    json_t *j = NULL;

    pthread_mutex_lock(&v->lock);
    s = find(v, id);
    if (s != NULL)
        j = as_json(s, true);
    pthread_mutex_unlock(&v->lock);
    return j;
}

json_t *verifications_all(struct verifications *v)
{
    json_t *list = json_array();
    int i;

    pthread_mutex_lock(&v->lock);
    for (i = 0; i < v->n; i++)
        json_array_append_new(list, as_json(v->slots[i], false));
    pthread_mutex_unlock(&v->lock);
    return list;
}

/* --- what becomes of it --- */

static void end(struct slot *s, enum verification_state state, const char *error)
{
    if (has_ended(s))
        return;
    s->state = state;
    s->ended_us = clock_wall_us();
    snprintf(s->error, sizeof(s->error), "%s", error != NULL ? error : "");
}

bool verifications_cancel(struct verifications *v, int64_t id)
{
    struct slot *s;

    pthread_mutex_lock(&v->lock);
    s = find(v, id);
    if (s != NULL)
        s->cancelled = true;
    if (s != NULL && s->state == VERIFICATION_WAITING)
        end(s, VERIFICATION_CANCELLED, NULL);
    pthread_mutex_unlock(&v->lock);
    return s != NULL;
}

bool verifications_take(struct verifications *v, const char *connector, struct arena *a,
                        struct verification *out)
{
    bool found = false;
    int i;

    pthread_mutex_lock(&v->lock);
    for (i = 0; i < v->n && !found; i++) {
        struct slot *s = v->slots[i];

        if (s->state != VERIFICATION_WAITING || strcmp(s->what.connector, connector) != 0)
            continue;
        found = true;
        s->state = VERIFICATION_RUNNING;
        s->began_us = clock_wall_us();
        copy_what(a, &s->what, out);
    }
    pthread_mutex_unlock(&v->lock);
    return found;
}

bool verifications_is_cancelled(struct verifications *v, int64_t id)
{
    const struct slot *s;
    bool cancelled;

    pthread_mutex_lock(&v->lock);
    s = find(v, id);
    cancelled = s == NULL || s->cancelled;
    pthread_mutex_unlock(&v->lock);
    return cancelled;
}

void verifications_say(struct verifications *v, int64_t id, const char *doing)
{
    struct slot *s;

    pthread_mutex_lock(&v->lock);
    s = find(v, id);
    if (s != NULL)
        snprintf(s->doing, sizeof(s->doing), "%s", doing);
    pthread_mutex_unlock(&v->lock);
}

void verifications_table(struct verifications *v, int64_t id, int i, json_t *j)
{
    struct slot *s;

    pthread_mutex_lock(&v->lock);
    s = find(v, id);
    if (s != NULL && i < s->what.n) {
        json_t *was = s->tables[i];

        s->tables[i] = j;
        j = was;
    }
    json_decref(j);
    pthread_mutex_unlock(&v->lock);
}

void verifications_end(struct verifications *v, int64_t id, enum verification_state state,
                       const char *error)
{
    struct slot *s;

    pthread_mutex_lock(&v->lock);
    s = find(v, id);
    if (s != NULL)
        end(s, state, error);
    pthread_mutex_unlock(&v->lock);
}
