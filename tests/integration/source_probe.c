/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the Postgres source by itself for test_source_postgres.py: settings as KEY=VALUE
 * arguments, one command a line on stdin, answers as JSON lines on stdout; each command's last
 * line is {"done": ...}.
 *
 *   connect prepare mark drop check plan     point durable|temporary     tables load close
 *   remember   keys
 *   start POSITION   poll MS   hold MS   ack POSITION   lag POSITION   stop   quit
 *   join TABLE   skip TABLE   refuse   no-alter
 *
 * `remember` reads all rows and keeps them without a word; `keys` reads the rows of their keys
 * under the point of now, by one call a table. `poll` polls for MS milliseconds; `hold` only ticks;
 * with `autoack` on, commits and keepalives are acknowledged as they come. `join` copies a table at
 * a point of a second source of the same settings and has the stream carry it from there; `skip`
 * has its changes skipped. Alterations are taken, unless `refuse` (the engine does not carry the
 * table on) or `no-alter` (it knows none). `start` goes on with the tables as the stream altered
 * them.
 */
#include "config/file.h"
#include "source_postgres/source_postgres.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct source_ops *const ops = &source_postgres_ops;

struct probe {
    const struct config *cfg;
    struct source *s;
    struct source *second; /* of join */
    struct source_point *point;
    struct arena *arena;
    struct source_table *tables;
    int ntables;
    int64_t csn;
    bool autoack;
    bool quiet;
    bool refuse, no_alter;
    int64_t rows;
    const struct value **kept; /* rows that were remembered, and the tables that they are of */
    uint32_t *kept_of;
    int nkept;
};

static void print(json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);

    puts(text != NULL ? text : "{\"done\":\"unprintable\"}");
    fflush(stdout);
    free(text);
    json_decref(j);
}

static json_t *text_value(const struct value *v)
{
    json_t *j = json_stringn(v->s.p, v->s.len);
    struct buf b = {0};
    size_t i;

    if (j != NULL)
        return j;
    buf_puts(&b, "hex:");
    for (i = 0; i < v->s.len; i++)
        buf_printf(&b, "%02x", (unsigned char)v->s.p[i]);
    j = json_string(buf_cstr(&b));
    buf_free(&b);
    return j;
}

static json_t *one_value(const struct column *c, const struct value *v)
{
    switch (v->state) {
    case VALUE_NULL:
        return json_null();
    case VALUE_UNCHANGED:
        return json_string("<unchanged>");
    case VALUE_ABSENT:
        return json_string("<absent>");
    case VALUE_SET:
        break;
    }
    switch (c->kind) {
    case TYPE_BOOL:
        return json_boolean(v->i);
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_DATE:
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        return json_integer(v->i);
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        if (!isfinite(v->f)) /* JSON has no such numbers */
            return json_string(isnan(v->f) ? (signbit(v->f) ? "-NaN" : "NaN")
                               : v->f > 0  ? "Infinity"
                                           : "-Infinity");
        return json_real(v->f);
    default:
        return text_value(v);
    }
}

static json_t *row(const struct table *t, const struct value *values)
{
    json_t *j;
    int i;

    if (values == NULL)
        return json_null();
    j = json_object();
    for (i = 0; i < t->ncols; i++)
        json_object_set_new(j, t->cols[i].name, one_value(&t->cols[i], &values[i]));
    return j;
}

static json_t *full_name(const struct table *t)
{
    return json_sprintf("%s.%s", t->schema, t->name);
}

static bool on_begin(void *ctx, const struct transaction *tx, struct error *err)
{
    struct probe *p = ctx;

    (void)err;
    if (!p->quiet)
        print(json_pack("{s:I, s:I, s:s, s:I}", "begin", (json_int_t)tx->csn, "xid",
                        (json_int_t)tx->xid, "id", tx->id, "us", (json_int_t)tx->commit_us));
    return true;
}

static bool on_change(void *ctx, const struct change *c, struct error *err)
{
    struct probe *p = ctx;
    char op[2] = {(char)c->op, '\0'};

    (void)err;
    p->rows++;
    if (!p->quiet)
        print(json_pack("{s:s, s:o, s:o, s:o, s:b, s:b}", "op", op, "table", full_name(c->table),
                        "before", row(c->table, c->before), "after", row(c->table, c->after),
                        "full", c->before_full, "moves", change_moves_key(c)));
    return true;
}

static bool on_commit(void *ctx, const struct transaction *tx, const char *position,
                      struct error *err)
{
    struct probe *p = ctx;

    (void)err;
    if (!p->quiet)
        print(json_pack("{s:s, s:I}", "commit", position, "csn", (json_int_t)tx->csn));
    if (p->autoack)
        ops->acknowledge(p->s, position);
    return true;
}

static bool on_idle(void *ctx, const char *position, bool urgent, struct error *err)
{
    struct probe *p = ctx;

    (void)err;
    if (!p->quiet)
        print(json_pack("{s:s, s:b}", "idle", position, "urgent", urgent));
    if (p->autoack)
        ops->acknowledge(p->s, position);
    return true;
}

static bool on_wants(void *ctx, uint32_t oid, const char *schema, const char *name, const char *why,
                     struct error *err)
{
    (void)ctx;
    (void)err;
    print(json_pack("{s:I, s:o, s:s}", "wants", (json_int_t)oid, "table",
                    json_sprintf("%s.%s", schema, name), "why", why));
    return true;
}

static json_t *columns(const struct table *t);

/* What a restart would find in the books. */
static void remember(struct probe *p, const struct table *now)
{
    int i;

    for (i = 0; i < p->ntables; i++) {
        if (p->tables[i].table->oid == now->oid)
            p->tables[i].table = table_copy(p->arena, now);
    }
}

static bool on_alter(void *ctx, const struct alteration *a, bool *carried, struct error *err)
{
    struct probe *p = ctx;
    json_t *from = json_array(), *fill = json_object();
    char identity[2] = {a->now->replica_identity, '\0'};
    int i;

    (void)err;
    for (i = 0; i < a->now->ncols; i++) {
        const struct column *c = &a->now->cols[i];

        if (a->from[i] >= 0) {
            json_array_append_new(from, json_string(a->was->cols[a->from[i]].name));
            continue;
        }
        json_array_append_new(from, json_null());
        json_object_set_new(fill, c->name, one_value(c, &a->fill[i]));
    }
    *carried = !p->refuse;
    print(json_pack("{s:o, s:i, s:o, s:o, s:o, s:s, s:s, s:i}", "alter", full_name(a->now), "was",
                    a->was->ncols, "from", from, "fill", fill, "columns", columns(a->now),
                    "identity", identity, "topic", a->now->topic, "natts", a->now->natts));
    remember(p, a->now);
    return true;
}

static bool on_leaf(void *ctx, const struct table *t, uint32_t leaf, struct error *err)
{
    (void)ctx;
    (void)err;
    print(json_pack("{s:o, s:I}", "root", full_name(t), "leaf", (json_int_t)leaf));
    return true;
}

static bool on_read(void *ctx, const struct table *t, const struct value *values, struct error *err)
{
    struct probe *p = ctx;

    (void)err;
    p->rows++;
    if (!p->quiet)
        print(json_pack("{s:s, s:o, s:o}", "op", "r", "table", full_name(t), "after",
                        row(t, values)));
    return true;
}

static bool on_remember(void *ctx, const struct table *t, const struct value *values,
                        struct error *err)
{
    struct probe *p = ctx;
    struct value *copy = arena_calloc(p->arena, (size_t)t->ncols, sizeof(*copy));
    size_t n = (size_t)p->nkept + 1;
    int i;

    (void)err;
    for (i = 0; i < t->ncols; i++) {
        copy[i] = values[i];
        if (values[i].state == VALUE_SET && type_kind_is_text(t->cols[i].kind))
            copy[i].s.p = arena_strndup(p->arena, values[i].s.p, values[i].s.len);
    }
    p->kept = mem_realloc(p->kept, n * sizeof(*p->kept));
    p->kept_of = mem_realloc(p->kept_of, n * sizeof(*p->kept_of));
    p->kept[p->nkept] = copy;
    p->kept_of[p->nkept++] = t->oid;
    return true;
}

static json_t *columns(const struct table *t)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < t->ncols; i++) {
        const struct column *c = &t->cols[i];

        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:b, s:i, s:b, s:i, s:i, s:s?, s:s, s:s?, s:i}",
                            "name", c->name, "kind", type_kind_name(c->kind), "type",
                            c->source_type, "nullable", c->nullable, "key", c->key_pos, "identity",
                            c->identity, "precision", c->precision, "scale", c->scale, "allowed",
                            c->allowed, "field", c->field, "def", c->def, "attnum", c->attnum));
    }
    return list;
}

static void print_tables(const struct source_table *tables, int n)
{
    char identity[2] = "";
    int i;

    for (i = 0; i < n; i++) {
        const struct table *t = tables[i].table;

        identity[0] = t->replica_identity;
        print(json_pack("{s:o, s:o, s:i, s:s?, s:s, s:s, s:i, s:s?, s:b, s:I}", "table",
                        full_name(t), "columns", columns(t), "keys", t->nkeys, "refused",
                        tables[i].refused, "identity", identity, "topic", t->topic, "chunks",
                        tables[i].nchunks, "filter", t->row_filter, "partitioned", t->partitioned,
                        "rows", (json_int_t)t->est_rows));
    }
}

static bool load(struct probe *p, source_row_fn *fn, struct error *err)
{
    struct source_reader *r;
    bool ok = ops->reader_open(p->point, &r, err);
    int i, k;

    if (!ok)
        return false;
    for (i = 0; ok && i < p->ntables; i++) {
        for (k = 0; ok && k < p->tables[i].nchunks; k++)
            ok = ops->reader_chunk(r, p->tables[i].table, &p->tables[i].chunks[k], fn, p, err);
    }
    ops->reader_close(r);
    return ok;
}

static bool read_keys(struct probe *p, struct error *err)
{
    const struct value **keys = mem_calloc((size_t)p->nkept + 1, sizeof(*keys));
    struct source_reader *r = NULL;
    bool ok = ops->reader_open(p->point, &r, err);
    int i, k;

    for (i = 0; ok && i < p->ntables; i++) {
        const struct table *t = p->tables[i].table;
        int n = 0;

        for (k = 0; k < p->nkept; k++) {
            if (p->kept_of[k] == t->oid)
                keys[n++] = p->kept[k];
        }
        if (n > 0)
            ok = ops->reader_keys(r, t, keys, n, on_read, p, err);
    }
    ops->reader_close(r);
    mem_free(keys);
    return ok;
}

static bool start(struct probe *p, const char *position, struct error *err)
{
    struct stream_table *t = mem_calloc((size_t)p->ntables + 1, sizeof(*t));
    bool ok;
    int i, n = 0;

    for (i = 0; i < p->ntables; i++) {
        t[n].table = p->tables[i].table;
        t[n].skip = p->tables[i].refused != NULL;
        t[n++].s = p->csn;
    }
    ok = ops->stream_start(p->s, position, t, n, err);
    mem_free(t);
    return ok;
}

static struct source_table *find_table(struct source_table *tables, int n, const char *name)
{
    int i;

    for (i = 0; i < n; i++) {
        if (strcmp(tables[i].table->name, name) == 0)
            return &tables[i];
    }
    return NULL;
}

static bool skip(struct probe *p, const char *name, struct error *err)
{
    struct source_table *t = find_table(p->tables, p->ntables, name);
    struct stream_table st = {.skip = true};

    if (t == NULL)
        return error_set(err, ERROR_FATAL, "no table %s", name);
    st.table = t->table;
    return ops->stream_table(p->s, &st, NULL, err);
}

/* Copies the table at the point and hands it to the stream. */
static bool join_at(struct probe *p, struct source_point *point, int64_t csn, const char *name,
                    struct error *err)
{
    struct stream_table st = {.s = csn};
    struct source_reader *r = NULL;
    struct source_table *tables, *t, *old;
    int n, k;
    bool ok;

    if (!ops->point_tables(point, p->arena, &tables, &n, err))
        return false;
    t = find_table(tables, n, name);
    if (t == NULL)
        return error_set(err, ERROR_FATAL, "no table %s", name);
    ok = ops->reader_open(point, &r, err);
    for (k = 0; ok && k < t->nchunks; k++)
        ok = ops->reader_chunk(r, t->table, &t->chunks[k], on_read, p, err);
    ops->reader_close(r);
    st.table = t->table;
    old = find_table(p->tables, p->ntables, name);
    if (old != NULL)
        old->table = t->table;
    return ok && ops->stream_table(p->s, &st, point, err);
}

static bool join(struct probe *p, const char *name, struct error *err)
{
    struct source_identity id;
    struct source_point *point = NULL;
    char position[POSITION_SIZE];
    int64_t csn;
    bool ok;

    if (p->second == NULL &&
        (!ops->open(&p->second, p->cfg, err) || !ops->connect(p->second, &id, err)))
        return false;
    ok = ops->prepare(p->second, err) &&
         ops->point_open(p->second, false, &point, &csn, position, err) &&
         join_at(p, point, csn, name, err);
    ops->point_close(point);
    return ok;
}

static bool poll_for(struct probe *p, int ms, struct error *err)
{
    struct change_sink sink = {.ctx = p,
                               .begin = on_begin,
                               .change = on_change,
                               .commit = on_commit,
                               .idle = on_idle,
                               .alter = p->no_alter ? NULL : on_alter,
                               .leaf = on_leaf,
                               .wants_load = on_wants};
    int64_t end = clock_mono_ms() + ms;
    bool drained;

    while (clock_mono_ms() < end) {
        int64_t left = end - clock_mono_ms();

        if (!ops->stream_poll(p->s, left < 100 ? (int)left : 100, &sink, &drained, err))
            return false;
    }
    return true;
}

static bool hold_for(struct probe *p, int ms, struct error *err)
{
    int64_t end = clock_mono_ms() + ms;

    while (clock_mono_ms() < end) {
        if (!ops->stream_tick(p->s, err))
            return false;
        clock_sleep_ms(200);
    }
    return true;
}

static bool show_mark(struct probe *p, struct error *err)
{
    static const char *const states[] = {"missing", "ready", "lost"};
    struct mark m;

    if (!ops->mark_read(p->s, &m, err))
        return false;
    print(json_pack("{s:s, s:s, s:s, s:I, s:i}", "mark", states[m.state], "position", m.position,
                    "why", m.why, "retained", (json_int_t)m.retained_bytes, "pid", m.active_pid));
    return true;
}

static bool show_check(struct probe *p, struct error *err)
{
    struct findings f = {0};
    struct source_plan plan;
    bool ok = ops->check(p->s, p->arena, &plan, &f, err);
    struct finding *i;

    for (i = f.first; i != NULL; i = i->next) {
        struct buf fix = {0};

        finding_fix(i, &fix);
        print(json_pack("{s:s, s:s, s:s, s:s}", "finding", finding_severity_name(i->severity),
                        "subject", i->subject, "message", i->message, "fix", buf_cstr(&fix)));
        buf_free(&fix);
    }
    findings_free(&f);
    return ok;
}

static bool show_identity(struct probe *p, struct error *err)
{
    struct source_identity id;

    if (!ops->connect(p->s, &id, err))
        return false;
    print(json_pack("{s:s, s:i, s:s, s:s, s:s}", "system", id.system, "timeline", (int)id.timeline,
                    "database", id.database, "mark", id.mark, "version", id.version));
    return true;
}

static bool open_point(struct probe *p, bool durable, struct error *err)
{
    char position[POSITION_SIZE];

    if (!ops->point_open(p->s, durable, &p->point, &p->csn, position, err))
        return false;
    print(json_pack("{s:s, s:I}", "point", position, "csn", (json_int_t)p->csn));
    return true;
}

static bool command(struct probe *p, const char *cmd, const char *arg, struct error *err)
{
    if (strcmp(cmd, "connect") == 0)
        return show_identity(p, err);
    if (strcmp(cmd, "prepare") == 0)
        return ops->prepare(p->s, err);
    if (strcmp(cmd, "mark") == 0)
        return show_mark(p, err);
    if (strcmp(cmd, "drop") == 0)
        return ops->mark_drop(p->s, err);
    if (strcmp(cmd, "check") == 0)
        return show_check(p, err);
    if (strcmp(cmd, "point") == 0)
        return open_point(p, strcmp(arg, "durable") == 0, err);
    if (strcmp(cmd, "tables") == 0 || strcmp(cmd, "plan") == 0) {
        bool ok = cmd[0] == 't'
                      ? ops->point_tables(p->point, p->arena, &p->tables, &p->ntables, err)
                      : ops->plan(p->s, p->arena, &p->tables, &p->ntables, err);

        if (ok)
            print_tables(p->tables, p->ntables);
        return ok;
    }
    if (strcmp(cmd, "load") == 0)
        return load(p, on_read, err);
    if (strcmp(cmd, "remember") == 0)
        return load(p, on_remember, err);
    if (strcmp(cmd, "keys") == 0)
        return read_keys(p, err);
    if (strcmp(cmd, "start") == 0)
        return start(p, arg, err);
    if (strcmp(cmd, "poll") == 0)
        return poll_for(p, atoi(arg), err);
    if (strcmp(cmd, "join") == 0)
        return join(p, arg, err);
    if (strcmp(cmd, "skip") == 0)
        return skip(p, arg, err);
    if (strcmp(cmd, "hold") == 0)
        return hold_for(p, atoi(arg), err);
    if (strcmp(cmd, "close") == 0) {
        ops->point_close(p->point);
        p->point = NULL;
    } else if (strcmp(cmd, "stop") == 0) {
        ops->stream_stop(p->s);
    } else if (strcmp(cmd, "ack") == 0) {
        ops->acknowledge(p->s, arg);
    } else if (strcmp(cmd, "lag") == 0) {
        print(json_pack("{s:I}", "lag", (json_int_t)ops->lag_bytes(p->s, arg)));
    } else if (strcmp(cmd, "autoack") == 0) {
        p->autoack = true;
    } else if (strcmp(cmd, "quiet") == 0) {
        p->quiet = true;
    } else if (strcmp(cmd, "refuse") == 0) {
        p->refuse = true;
    } else if (strcmp(cmd, "no-alter") == 0) {
        p->no_alter = true;
    } else if (strcmp(cmd, "cancel") == 0) {
        ops->cancel(p->s);
    } else {
        return error_set(err, ERROR_FATAL, "no command %s", cmd);
    }
    return true;
}

/* Cancels from another thread's point of view: whatever is in progress when the signal comes. */
static struct source *cancel_me;
static void on_signal(int sig)
{
    (void)sig;
    ops->cancel(cancel_me); /* a write to an eventfd */
}

static bool open_source(struct probe *p, int argc, char **argv, struct config **cfg,
                        struct error *err)
{
    const struct setting *const settings[] = {config_source_settings, ops->settings, NULL};
    const char **pairs = mem_calloc((size_t)argc * 2 + 2, sizeof(*pairs));
    bool ok;
    int i, n = 0;

    for (i = 1; i < argc; i++) {
        char *eq = strchr(argv[i], '=');

        if (eq == NULL)
            continue;
        *eq = '\0';
        pairs[n++] = argv[i];
        pairs[n++] = eq + 1;
    }
    ok = config_make(cfg, "probe", settings, pairs, err) && ops->open(&p->s, *cfg, err);
    mem_free(pairs);
    return ok;
}

int main(int argc, char **argv)
{
    struct probe p = {0};
    struct config *cfg = NULL;
    struct error err = {0};
    char line[512];

    p.arena = arena_new("probe");
    if (!open_source(&p, argc, argv, &cfg, &err)) {
        print(json_pack("{s:s, s:s, s:s}", "done", error_kind_name(err.kind), "message",
                        err.message, "hint", err.hint));
        config_free(cfg);
        arena_free(p.arena);
        return 1;
    }
    p.cfg = cfg;
    cancel_me = p.s;
    signal(SIGUSR1, on_signal);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *cmd = strtok(line, " \n");
        char *arg = strtok(NULL, "\n");
        int64_t begin = clock_mono_ms();

        if (cmd == NULL || strcmp(cmd, "quit") == 0)
            break;
        error_clear(&err);
        p.rows = 0;
        if (command(&p, cmd, arg != NULL ? arg : "", &err))
            print(json_pack("{s:s, s:I, s:I}", "done", "ok", "rows", (json_int_t)p.rows, "ms",
                            (json_int_t)(clock_mono_ms() - begin)));
        else
            print(json_pack("{s:s, s:s, s:s, s:s, s:i, s:b, s:I}", "done",
                            error_kind_name(err.kind), "message", err.message, "hint", err.hint,
                            "sqlstate", err.sqlstate, "table", (int)err.table, "reload", err.reload,
                            "ms", (json_int_t)(clock_mono_ms() - begin)));
    }
    ops->point_close(p.point);
    ops->close(p.s);
    ops->close(p.second);
    config_free(cfg);
    mem_free(p.kept);
    mem_free(p.kept_of);
    arena_free(p.arena);
    return 0;
}
