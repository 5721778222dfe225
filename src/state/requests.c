/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mutex over one array in the order of arrival. Equal requests are kept apart: who takes them
 * sees them together and knows what a second one means.
 */
#include "state/requests.h"

#include "util/mem.h"

#include <pthread.h>
#include <string.h>

struct slot {
    int64_t id;
    char *connector, *schema, *table;
};

struct requests {
    pthread_mutex_t lock;
    int64_t last_id;
    struct slot slots[REQUESTS_MAX];
    int n;
};

struct requests *requests_new(void)
{
    struct requests *r = mem_calloc(1, sizeof(*r));

    pthread_mutex_init(&r->lock, NULL);
    return r;
}

static void slot_clear(struct slot *s)
{
    mem_free(s->connector);
    mem_free(s->schema);
    mem_free(s->table);
}

void requests_free(struct requests *r)
{
    if (r == NULL)
        return;
    for (int i = 0; i < r->n; i++)
        slot_clear(&r->slots[i]);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

bool requests_add_tables(struct requests *r, const char *connector, const struct qualified *tables,
                         int n, int64_t *id)
{
    static const struct qualified all = {NULL, NULL};
    bool room;

    if (n == 0) {
        tables = &all;
        n = 1;
    }
    pthread_mutex_lock(&r->lock);
    room = n <= REQUESTS_MAX - r->n;
    if (room)
        *id = ++r->last_id;
    for (int i = 0; room && i < n; i++)
        r->slots[r->n++] = (struct slot){
            .id = r->last_id,
            .connector = mem_strdup(connector),
            .schema = mem_strdup(tables[i].schema),
            .table = mem_strdup(tables[i].name),
        };
    pthread_mutex_unlock(&r->lock);
    return room;
}

bool requests_add(struct requests *r, const char *connector, const char *schema, const char *table,
                  int64_t *id)
{
    const struct qualified one = {schema, table};

    return requests_add_tables(r, connector, &one, table != NULL ? 1 : 0, id);
}

void requests_take(struct requests *r, const char *connector, struct arena *a, struct request **out,
                   int *n)
{
    int kept = 0;

    *n = 0;
    pthread_mutex_lock(&r->lock);
    *out = arena_calloc(a, (size_t)r->n + 1, sizeof(**out));
    for (int i = 0; i < r->n; i++) {
        struct slot *s = &r->slots[i];

        if (strcmp(s->connector, connector) != 0) {
            r->slots[kept++] = *s;
            continue;
        }
        (*out)[(*n)++] = (struct request){
            .id = s->id,
            .connector = arena_strdup(a, s->connector),
            .schema = arena_strdup(a, s->schema),
            .table = arena_strdup(a, s->table),
        };
        slot_clear(s);
    }
    r->n = kept;
    pthread_mutex_unlock(&r->lock);
}
