/* SPDX-License-Identifier: Apache-2.0 */
/* From a table's description to everything that its events need on both sides of the queue. */
#include "avro/codec.h"
#include "load/alter.h"
#include "load/spool.h"
#include "pipeline/internal.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

static bool register_schema(struct pipeline *p, const char *topic, const char *suffix,
                            const char *schema, uint32_t *id, struct error *err)
{
    char *subject = mem_printf("%s-%s", topic, suffix);
    bool ok = registry_register(p->o.registry, subject, schema, id, err);

    mem_free(subject);
    return ok;
}

static bool compile_schemas(struct pipeline *p, struct arena *a, struct flow *f, struct error *err)
{
    struct buf text = {0};
    bool ok;

    avro_value_schema(&text, f->table, p->o.source->block);
    f->value_schema = arena_strndup(a, (const char *)text.data, text.len);
    f->key_schema = NULL;
    f->key_id = 0;
    if (f->table->nkeys > 0) {
        buf_reset(&text);
        avro_key_schema(&text, f->table);
        f->key_schema = arena_strndup(a, (const char *)text.data, text.len);
    }
    buf_free(&text);
    ok = register_schema(p, f->table->topic, "value", f->value_schema, &f->value_id, err) &&
         (f->key_schema == NULL ||
          register_schema(p, f->table->topic, "key", f->key_schema, &f->key_id, err));
    return ok;
}

/* The two sides agree on the table only if the schema says everything: checked, not assumed. */
static bool same_shape(const struct table *a, const struct table *b, struct error *err)
{
    int i;

    if (a->ncols != b->ncols || a->nkeys != b->nkeys)
        return error_set(err, ERROR_FATAL, "%s.%s: the event schema loses columns", a->schema,
                         a->name);
    for (i = 0; i < a->ncols; i++) {
        if (strcmp(a->cols[i].name, b->cols[i].name) != 0 || a->cols[i].kind != b->cols[i].kind ||
            a->cols[i].key_pos != b->cols[i].key_pos)
            return error_set(err, ERROR_FATAL, "%s.%s: the event schema changes column %s",
                             a->schema, a->name, a->cols[i].name);
    }
    return true;
}

static bool compile_decoder(struct flow *f, struct error *err)
{
    decoder_free(f->decoder);
    f->decoder = decoder_new(f->value_schema, f->event_table, err);
    f->rec.value_id = f->value_id;
    f->rec.key_id = f->key_id;
    f->rec.value_schema = f->value_schema;
    f->rec.key_schema = f->key_schema;
    return f->decoder != NULL;
}

static bool compile_event_table(struct pipeline *p, struct arena *a, struct flow *f,
                                struct error *err)
{
    return compile_schemas(p, a, f, err) &&
           avro_table(a, f->value_schema, f->key_schema, &f->event_table, err) &&
           same_shape(f->table, f->event_table, err);
}

/* What the record says of the target's columns from now on. */
static void note_columns(struct arena *a, struct flow *f)
{
    const struct target *t = f->target;
    int n = t->table->ncols;
    int i;

    f->rec.names = arena_calloc(a, (size_t)n + 1, sizeof(*f->rec.names));
    for (i = 0; i < n; i++)
        f->rec.names[i] = t->cols[i].name;
    f->rec.nkept = t->nkept;
    f->rec.kept = arena_memdup(a, t->kept, (size_t)t->nkept * sizeof(*t->kept));
}

bool flow_compile(struct pipeline *p, struct arena *a, struct flow *f, struct error *err)
{
    const struct dialect *d = p->o.warehouse->dialect;
    bool ok = compile_event_table(p, a, f, err);

    if (ok && f->rec.names != NULL)
        ok = target_known(a, f->event_table, d, f->rec.target_schema, f->rec.target_name,
                          f->rec.names, f->rec.kept, f->rec.nkept, &f->target, err);
    else if (ok)
        ok = target_new(a, f->event_table, d, f->rec.target_schema, f->rec.target_name, &f->target,
                        err);
    if (!ok)
        return false;
    note_columns(a, f);
    return compile_decoder(f, err);
}

static void copy_value(struct arena *a, enum type_kind kind, const struct value *from,
                       struct value *to)
{
    *to = *from;
    if (from->state == VALUE_SET && type_kind_is_text(kind))
        to->s.p = arena_memdup(a, from->s.p, from->s.len);
}

struct alteration *alteration_copy(struct arena *a, const struct alteration *al)
{
    struct alteration *copy = arena_calloc(a, 1, sizeof(*copy));
    int n = al->now->ncols;
    struct value *fill = arena_calloc(a, (size_t)n + 1, sizeof(*fill));
    int i;

    copy->was = table_copy(a, al->was);
    copy->now = table_copy(a, al->now);
    copy->from = arena_memdup(a, al->from, (size_t)n * sizeof(*al->from));
    for (i = 0; i < n; i++)
        copy_value(a, al->now->cols[i].kind, &al->fill[i], &fill[i]);
    copy->fill = fill;
    return copy;
}

static bool is_field(const struct table *t, const char *field, size_t n)
{
    int i;

    for (i = 0; i < t->ncols; i++) {
        if (strlen(t->cols[i].field) == n && memcmp(t->cols[i].field, field, n) == 0)
            return true;
    }
    return false;
}

/* Appends those names of the list that no field has now. */
static void add_aliases(struct buf *out, const struct table *now, const char *list)
{
    for (; list != NULL && *list != '\0'; list += strspn(list, ",")) {
        size_t n = strcspn(list, ",");

        if (!is_field(now, list, n)) {
            buf_puts(out, out->len > 0 ? "," : "");
            buf_append(out, list, n);
        }
        list += n;
    }
}

/* A renamed column goes on being read under its former names. was: our view of it. */
static void keep_aliases(struct arena *a, const struct table *was, const struct alteration *al,
                         struct table *now)
{
    int i;

    for (i = 0; i < now->ncols; i++) {
        const struct column *c = al->from[i] >= 0 ? &was->cols[al->from[i]] : NULL;
        struct buf list = {0};

        if (c == NULL)
            continue;
        if (strcmp(c->field, now->cols[i].field) != 0)
            add_aliases(&list, now, c->field);
        add_aliases(&list, now, c->aliases);
        now->cols[i].aliases = list.len > 0 ? arena_strdup(a, buf_cstr(&list)) : NULL;
        buf_free(&list);
    }
}

bool flow_alter(struct pipeline *p, struct arena *a, struct flow *f, const struct alteration *al,
                struct flow **out, struct error *err)
{
    struct flow *n = arena_calloc(a, 1, sizeof(*n));
    struct table *t;

    n->al = alteration_copy(a, al);
    t = (struct table *)n->al->now; /* our copy */
    t->topic = f->table->topic;     /* it may have a suffix */
    t->leaves = f->table->leaves;
    t->membership = f->table->membership;
    keep_aliases(a, f->table, al, t);
    n->table = n->rec.table = t;
    flow_keep(p, n); /* before the decoder is there, so that it is freed */
    *out = n;
    return compile_event_table(p, a, n, err) && compile_decoder(n, err);
}

bool flow_follow(struct arena *a, struct flow *was, struct flow *n, struct error *err)
{
    struct table_record rec = was->rec;

    if (was->table->ncols != n->al->was->ncols)
        return error_set(err, ERROR_FATAL, "%s.%s: an alteration of another version",
                         was->table->schema, was->table->name);
    rec.table = n->table;
    rec.value_id = n->value_id;
    rec.key_id = n->key_id;
    rec.value_schema = n->value_schema;
    rec.key_schema = n->key_schema;
    n->rec = rec;
    n->was = was;
    if (!target_alter(a, was->target, n->event_table, n->al, &n->target, err))
        return false;
    note_columns(a, n);
    return true;
}

static struct board_table shown(struct pipeline *p, const struct flow *f, int64_t rows_total)
{
    return (struct board_table){
        .connector = p->o.source_name,
        .schema = f->rec.table->schema,
        .name = f->rec.table->name,
        .target_schema = f->rec.target_schema,
        .target_name = f->rec.target_name,
        .state = f->rec.state,
        .reason = f->rec.reason,
        .rows = f->rec.rows,
        .rows_total = rows_total,
        .position = f->rec.state == TABLE_LIVE ? p->checkpoint.position : "",
    };
}

void flow_show(struct pipeline *p, const struct flow *f, int64_t rows_total)
{
    struct board_table t = shown(p, f, rows_total);

    board_set_table(p->o.board, &t);
}

void flow_show_again(struct pipeline *p, const struct flow *f)
{
    struct board_table t = shown(p, f, -1);

    board_update_table(p->o.board, &t);
}

struct flow *flow_find(struct pipeline *p, uint32_t oid)
{
    int i;

    for (i = 0; i < p->nflows; i++) {
        if (p->flows[i]->rec.table->oid == oid)
            return p->flows[i];
    }
    for (i = 0; i < p->nresumes; i++) {
        if (p->resumes[i]->rec.table->oid == oid)
            return p->resumes[i];
    }
    return NULL;
}

bool flow_streams(const struct flow *f)
{
    return f->decoder != NULL && (f->rec.state == TABLE_LIVE ||
                                  (f->rec.state == TABLE_LOADING && (f->rec.loaded || f->cut_off)));
}

void flow_keep(struct pipeline *p, struct flow *f)
{
    pthread_mutex_lock(&p->lock);
    p->more = mem_realloc(p->more, ((size_t)p->nmore + 1) * sizeof(struct flow *));
    p->more[p->nmore++] = f;
    pthread_mutex_unlock(&p->lock);
}

bool flow_stop_table(struct pipeline *p, struct books *b, uint32_t oid, enum table_state state,
                     const char *reason, struct error *err)
{
    struct flow *f = flow_find(p, oid);

    if (f == NULL)
        return true;
    if (!books_table_state(b, oid, f->rec.load, state, reason, err))
        return false;
    f->rec.state = state;
    f->rec.loaded = false;
    f->rec.reason = arena_strdup(p->arena, reason);
    flow_show(p, f, -1);
    return true;
}

enum overflow_mode pipeline_overflow_mode(const struct pipeline *p)
{
    const char *mode = config_string(p->o.sink_config, "value.overflow.mode");

    return mode != NULL && strcmp(mode, "null") == 0 ? OVERFLOW_NULL : OVERFLOW_STOP;
}

const char *flow_reason(const struct error *err, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s", err->message, err->hint[0] ? "; " : "", err->hint);
    return out;
}

void flow_aside(int64_t load, char out[ASIDE_SIZE])
{
    snprintf(out, ASIDE_SIZE, "_penstock_load_%lld", (long long)load);
}

char *flow_spool_path(const struct pipeline *p, uint32_t oid, int64_t load)
{
    return spool_path(config_string(p->o.service_config, "data.dir"), p->o.source_name, oid, load);
}

static void free_decoders(struct flow **flows, int n)
{
    int i;

    for (i = 0; i < n; i++)
        decoder_free(flows[i]->decoder);
}

void flows_free(struct pipeline *p)
{
    free_decoders(p->flows, p->nflows);
    free_decoders(p->resumes, p->nresumes);
    free_decoders(p->more, p->nmore);
    mem_free(p->more);
    p->flows = p->resumes = p->more = NULL;
    p->nflows = p->nresumes = p->nmore = 0;
}
