/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board: one mutex over two arrays. Connectors are few and kept in the file's order; tables
 * are kept sorted by (connector, schema, name), so that an update is a binary search and a copy is
 * already in order. Lines for the log are written after the lock is released. Readers get deep
 * copies; a connector's config is borrowed and must outlive the board.
 */
#include "state/board.h"

#include "util/buf.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <pthread.h>
#include <string.h>

struct row {
    char *connector, *schema, *name;
    char *target_schema, *target_name;
    char *reason, *position;
    enum table_state state;
    int64_t rows, rows_total;
    int64_t waiting_since, waiting_bytes; /* while it is not live */
};

struct entry {
    char *name, *trace;
    bool source, paused, restart; /* the latter two are wishes */
    const struct config *config;
    enum connector_state state, task;
    char *mark, *pinned_by, *status, *warning;
    struct board_mark kept; /* its strings are those above */
    int64_t fresh_us;
};

struct board {
    pthread_mutex_t lock;
    char *service;
    struct entry *connectors;
    int nconnectors;
    struct row *rows;
    int nrows, cap;
};

static const char *const connector_names[] = {"UNASSIGNED", "RUNNING", "RESTARTING",
                                              "FAILED",     "PAUSED",  "STOPPED"};
static const char *const table_names[] = {"loading", "live", "needs snapshot", "refused"};

const char *connector_state_name(enum connector_state s)
{
    return (unsigned)s < sizeof(connector_names) / sizeof(connector_names[0]) ? connector_names[s]
                                                                              : "UNKNOWN";
}

const char *table_state_name(enum table_state s)
{
    return (unsigned)s < sizeof(table_names) / sizeof(table_names[0]) ? table_names[s] : "unknown";
}

bool table_state_parse(const char *name, enum table_state *out)
{
    for (size_t i = 0; i < sizeof(table_names) / sizeof(table_names[0]); i++) {
        if (strcmp(name, table_names[i]) == 0) {
            *out = (enum table_state)i;
            return true;
        }
    }
    return false;
}

struct board *board_new(const char *service_name)
{
    struct board *b = mem_calloc(1, sizeof(*b));

    pthread_mutex_init(&b->lock, NULL);
    b->service = mem_strdup(service_name);
    return b;
}

static void row_clear(struct row *r)
{
    mem_free(r->connector);
    mem_free(r->schema);
    mem_free(r->name);
    mem_free(r->target_schema);
    mem_free(r->target_name);
    mem_free(r->reason);
    mem_free(r->position);
}

void board_free(struct board *b)
{
    if (b == NULL)
        return;
    for (int i = 0; i < b->nconnectors; i++) {
        mem_free(b->connectors[i].name);
        mem_free(b->connectors[i].trace);
        mem_free(b->connectors[i].mark);
        mem_free(b->connectors[i].pinned_by);
        mem_free(b->connectors[i].status);
        mem_free(b->connectors[i].warning);
    }
    for (int i = 0; i < b->nrows; i++)
        row_clear(&b->rows[i]);
    mem_free(b->connectors);
    mem_free(b->rows);
    mem_free(b->service);
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
}

/* The lock is held. */
static struct entry *entry_find(struct board *b, const char *name)
{
    for (int i = 0; i < b->nconnectors; i++) {
        if (strcmp(b->connectors[i].name, name) == 0)
            return &b->connectors[i];
    }
    return NULL;
}

static struct entry *entry_add(struct board *b, const char *name)
{
    struct entry *e;

    b->connectors =
        mem_realloc(b->connectors, sizeof(*b->connectors) * (size_t)(b->nconnectors + 1));
    e = &b->connectors[b->nconnectors++];
    memset(e, 0, sizeof(*e));
    e->name = mem_strdup(name);
    e->kept = (struct board_mark){.retained_bytes = -1,
                                  .safe_bytes = -1,
                                  .limit_bytes = -1,
                                  .log_rate = -1,
                                  .seconds_left = -1};
    return e;
}

void board_add_connector(struct board *b, const char *name, bool source,
                         const struct config *config)
{
    struct entry *e;

    pthread_mutex_lock(&b->lock);
    e = entry_find(b, name);
    if (e == NULL)
        e = entry_add(b, name);
    e->source = source;
    e->config = config;
    pthread_mutex_unlock(&b->lock);
}

/* True if *old was another text; then it is replaced by a copy. */
static bool replace(char **old, const char *text)
{
    if ((*old == NULL && text == NULL) || (*old != NULL && text != NULL && !strcmp(*old, text)))
        return false;
    mem_free(*old);
    *old = mem_strdup(text);
    return true;
}

void board_set_state(struct board *b, const char *connector, enum connector_state connector_state,
                     enum connector_state task, const char *trace)
{
    enum connector_state was_state, was_task;
    struct entry *e;

    pthread_mutex_lock(&b->lock);
    e = entry_find(b, connector);
    if (e == NULL)
        e = entry_add(b, connector);
    was_state = e->state;
    was_task = e->task;
    e->state = connector_state;
    e->task = task;
    replace(&e->trace, trace);
    pthread_mutex_unlock(&b->lock);

    /* Why it failed is logged by who handles the error. */
    if (was_state != connector_state || was_task != task)
        log_info("connector state name=%s from=%s to=%s task_from=%s task_to=%s", connector,
                 connector_state_name(was_state), connector_state_name(connector_state),
                 connector_state_name(was_task), connector_state_name(task));
}

static int row_compare(const struct row *r, const char *connector, const char *schema,
                       const char *name)
{
    int c = strcmp(r->connector, connector);

    if (c == 0)
        c = strcmp(r->schema, schema);
    return c ? c : strcmp(r->name, name);
}

/* The lock is held. Where the row is, or (found false) where it belongs. */
static int row_at(const struct board *b, const char *connector, const char *schema,
                  const char *name, bool *found)
{
    int low = 0, high = b->nrows;

    *found = false;
    while (low < high) {
        int mid = low + (high - low) / 2;
        int c = row_compare(&b->rows[mid], connector, schema, name);

        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The lock is held. */
static struct row *row_insert(struct board *b, int at, const struct board_table *t)
{
    struct row *r;

    if (b->nrows == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 16;
        b->rows = mem_realloc(b->rows, sizeof(*b->rows) * (size_t)b->cap);
    }
    r = &b->rows[at];
    memmove(r + 1, r, sizeof(*r) * (size_t)(b->nrows - at));
    b->nrows++;
    memset(r, 0, sizeof(*r));
    r->connector = mem_strdup(t->connector);
    r->schema = mem_strdup(t->schema);
    r->name = mem_strdup(t->name);
    return r;
}

/* State names hold a blank and reasons are sentences: quoted, so that a line can be parsed. */
static void log_table(const struct board_table *t, const char *from)
{
    enum log_level level =
        t->state == TABLE_REFUSED || t->state == TABLE_NEEDS_SNAPSHOT ? LOG_WARN : LOG_INFO;
    const char *to = table_state_name(t->state);
    const char *qf = strchr(from, ' ') ? "\"" : "", *qt = strchr(to, ' ') ? "\"" : "";

    log_write(level, "table state table=%s.%s from=%s%s%s to=%s%s%s reason=\"%s\"", t->schema,
              t->name, qf, from, qf, qt, to, qt, t->reason ? t->reason : "");
}

static void put_table(struct board *b, const struct board_table *t, bool add)
{
    const char *from = "none";
    struct row *r;
    bool found;
    int at;

    pthread_mutex_lock(&b->lock);
    at = row_at(b, t->connector, t->schema, t->name, &found);
    if (!found && !add) {
        pthread_mutex_unlock(&b->lock);
        return;
    }
    r = found ? &b->rows[at] : row_insert(b, at, t);
    if (found)
        from = table_state_name(r->state);
    replace(&r->target_schema, t->target_schema);
    replace(&r->target_name, t->target_name);
    replace(&r->reason, t->reason);
    replace(&r->position, t->position ? t->position : "");
    if (t->state == TABLE_LIVE)
        r->waiting_since = r->waiting_bytes = 0;
    else if (r->waiting_since == 0)
        r->waiting_since = clock_mono_ms();
    r->state = t->state;
    r->rows = t->rows;
    r->rows_total = t->rows_total;
    pthread_mutex_unlock(&b->lock);

    if (strcmp(from, table_state_name(t->state)) != 0)
        log_table(t, from);
}

void board_set_table(struct board *b, const struct board_table *t)
{
    put_table(b, t, true);
}

void board_update_table(struct board *b, const struct board_table *t)
{
    put_table(b, t, false);
}

void board_remove_table(struct board *b, const char *connector, const char *schema,
                        const char *name)
{
    bool found;
    int at;

    pthread_mutex_lock(&b->lock);
    at = row_at(b, connector, schema, name, &found);
    if (found) {
        row_clear(&b->rows[at]);
        memmove(&b->rows[at], &b->rows[at + 1], sizeof(*b->rows) * (size_t)(b->nrows - at - 1));
        b->nrows--;
    }
    pthread_mutex_unlock(&b->lock);
}

void board_set_waiting(struct board *b, const char *connector, const char *schema, const char *name,
                       int64_t bytes)
{
    bool found;
    int at;

    pthread_mutex_lock(&b->lock);
    at = row_at(b, connector, schema, name, &found);
    if (found && b->rows[at].state != TABLE_LIVE)
        b->rows[at].waiting_bytes = bytes;
    pthread_mutex_unlock(&b->lock);
}

void board_set_mark(struct board *b, const char *connector, const struct board_mark *m)
{
    struct entry *e;

    pthread_mutex_lock(&b->lock);
    e = entry_find(b, connector);
    if (e != NULL) {
        replace(&e->mark, m->name);
        replace(&e->pinned_by, m->pinned_by);
        replace(&e->status, m->status);
        replace(&e->warning, m->warning);
        e->kept = *m;
    }
    pthread_mutex_unlock(&b->lock);
}

void board_set_fresh(struct board *b, const char *connector, int64_t us)
{
    struct entry *e;

    pthread_mutex_lock(&b->lock);
    e = entry_find(b, connector);
    if (e != NULL && us > e->fresh_us)
        e->fresh_us = us;
    pthread_mutex_unlock(&b->lock);
}

void board_add_rows(struct board *b, const char *connector, const char *schema, const char *name,
                    int64_t delta, int64_t rows_total)
{
    bool found;
    int at;

    pthread_mutex_lock(&b->lock);
    at = row_at(b, connector, schema, name, &found);
    if (found) {
        b->rows[at].rows += delta;
        if (rows_total >= 0)
            b->rows[at].rows_total = rows_total;
    }
    pthread_mutex_unlock(&b->lock);
}

void board_connectors(struct board *b, struct arena *a, struct board_connector **out, int *n)
{
    pthread_mutex_lock(&b->lock);
    *n = b->nconnectors;
    *out = arena_calloc(a, (size_t)*n + 1, sizeof(**out));
    for (int i = 0; i < *n; i++) {
        const struct entry *e = &b->connectors[i];

        (*out)[i] = (struct board_connector){
            .name = arena_strdup(a, e->name),
            .source = e->source,
            .config = e->config,
            .state = e->state,
            .task = e->task,
            .trace = arena_strdup(a, e->trace),
            .mark = e->kept,
            .fresh_us = e->fresh_us,
        };
        (*out)[i].mark.name = arena_strdup(a, e->mark);
        (*out)[i].mark.pinned_by = arena_strdup(a, e->pinned_by);
        (*out)[i].mark.status = arena_strdup(a, e->status);
        (*out)[i].mark.warning = arena_strdup(a, e->warning);
    }
    pthread_mutex_unlock(&b->lock);
}

void board_tables(struct board *b, struct arena *a, struct board_table **out, int *n)
{
    int64_t now = clock_mono_ms();

    pthread_mutex_lock(&b->lock);
    *n = b->nrows;
    *out = arena_calloc(a, (size_t)*n + 1, sizeof(**out));
    for (int i = 0; i < *n; i++) {
        const struct row *r = &b->rows[i];

        (*out)[i] = (struct board_table){
            .connector = arena_strdup(a, r->connector),
            .schema = arena_strdup(a, r->schema),
            .name = arena_strdup(a, r->name),
            .target_schema = arena_strdup(a, r->target_schema),
            .target_name = arena_strdup(a, r->target_name),
            .state = r->state,
            .reason = arena_strdup(a, r->reason),
            .rows = r->rows,
            .rows_total = r->rows_total,
            .position = arena_strdup(a, r->position),
            .waiting_ms = r->waiting_since != 0 ? now - r->waiting_since : -1,
            .waiting_bytes = r->waiting_bytes,
        };
    }
    pthread_mutex_unlock(&b->lock);
}

bool board_ready(struct board *b, struct arena *a, const char **why)
{
    struct buf text = {0};

    pthread_mutex_lock(&b->lock);
    for (int i = 0; i < b->nconnectors; i++) {
        const struct entry *e = &b->connectors[i];

        if (e->task == CONNECTOR_RUNNING)
            continue;
        buf_printf(&text, "%s%s is %s%s%s", text.len ? "; " : "", e->name,
                   connector_state_name(e->task), e->trace ? ": " : "", e->trace ? e->trace : "");
    }
    pthread_mutex_unlock(&b->lock);
    *why = text.len ? arena_strdup(a, buf_cstr(&text)) : NULL;
    buf_free(&text);
    return *why == NULL;
}

bool board_want_paused(struct board *b, const char *connector, bool paused)
{
    struct entry *e;

    pthread_mutex_lock(&b->lock);
    e = entry_find(b, connector);
    if (e != NULL)
        e->paused = paused;
    pthread_mutex_unlock(&b->lock);
    return e != NULL;
}

bool board_wants_paused(struct board *b, const char *connector)
{
    const struct entry *e;
    bool paused;

    pthread_mutex_lock(&b->lock);
    e = entry_find(b, connector);
    paused = e != NULL && e->paused;
    pthread_mutex_unlock(&b->lock);
    return paused;
}

bool board_want_restart(struct board *b, const char *connector)
{
    struct entry *e;

    pthread_mutex_lock(&b->lock);
    e = entry_find(b, connector);
    if (e != NULL)
        e->restart = true;
    pthread_mutex_unlock(&b->lock);
    return e != NULL;
}

bool board_take_restart(struct board *b, const char *connector)
{
    struct entry *e;
    bool restart;

    pthread_mutex_lock(&b->lock);
    e = entry_find(b, connector);
    restart = e != NULL && e->restart;
    if (e != NULL)
        e->restart = false;
    pthread_mutex_unlock(&b->lock);
    return restart;
}
