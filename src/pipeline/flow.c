/* SPDX-License-Identifier: Apache-2.0 */
/* From a table's description to everything that its events need on both sides of the queue. */
#include "avro/codec.h"
#include "load/target.h"
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

    if (!ok && err->kind == ERROR_DATA)
        error_hint(err,
                   "undo the change, or make it compatible (a new column needs a default or must "
                   "allow NULL, a type may only widen), or set schema.compatibility to NONE; then "
                   "restart penstock");
    mem_free(subject);
    return ok;
}

static bool compile_schemas(struct pipeline *p, struct flow *f, struct error *err)
{
    struct buf text = {0};
    bool ok;

    avro_value_schema(&text, f->table, p->o.source->block);
    f->value_schema = arena_strndup(p->arena, (const char *)text.data, text.len);
    f->key_schema = NULL;
    f->key_id = 0;
    if (f->table->nkeys > 0) {
        buf_reset(&text);
        avro_key_schema(&text, f->table);
        f->key_schema = arena_strndup(p->arena, (const char *)text.data, text.len);
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

bool flow_compile(struct pipeline *p, struct flow *f, struct error *err)
{
    const struct dialect *d = p->o.warehouse->dialect;
    struct error local;

    if (!compile_schemas(p, f, err) ||
        !avro_table(p->arena, f->value_schema, f->key_schema, &f->event_table, err) ||
        !same_shape(f->table, f->event_table, err))
        return false;
    if (!target_new(p->arena, f->event_table, d, f->rec.target_schema, f->rec.target_name,
                    &f->target, err))
        return false;
    decoder_free(f->decoder);
    f->decoder = decoder_new(f->value_schema, f->event_table, &local);
    if (f->decoder == NULL) {
        if (err != NULL)
            *err = local;
        return false;
    }
    f->rec.value_id = f->value_id;
    f->rec.key_id = f->key_id;
    f->rec.value_schema = f->value_schema;
    f->rec.key_schema = f->key_schema;
    return true;
}

void flow_show(struct pipeline *p, const struct flow *f, int64_t rows_total)
{
    struct board_table t = {
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

    board_set_table(p->o.board, &t);
}

struct flow *flow_find(struct pipeline *p, uint32_t oid)
{
    int i;

    for (i = 0; i < p->nflows; i++) {
        if (p->flows[i].rec.table->oid == oid)
            return &p->flows[i];
    }
    return NULL;
}

bool flow_stop_table(struct pipeline *p, struct books *b, uint32_t oid, enum table_state state,
                     const char *reason, struct error *err)
{
    struct flow *f = flow_find(p, oid);

    if (f != NULL) {
        if (!books_table_state(b, oid, f->rec.load, state, reason, err))
            return false;
        f->rec.state = state;
        f->rec.loaded = false;
        f->rec.reason = arena_strdup(p->arena, reason);
        flow_show(p, f, -1);
    }
    return true;
}

enum overflow_mode pipeline_overflow_mode(const struct pipeline *p)
{
    const char *mode = config_string(p->o.sink_config, "value.overflow.mode");

    return mode != NULL && strcmp(mode, "null") == 0 ? OVERFLOW_NULL : OVERFLOW_STOP;
}

void flows_free(struct pipeline *p)
{
    int i;

    for (i = 0; i < p->nflows; i++)
        decoder_free(p->flows[i].decoder);
    p->flows = NULL;
    p->nflows = 0;
}
