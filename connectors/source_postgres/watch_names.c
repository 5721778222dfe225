/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other columns under the names of a table that nobody writes to. A column that was dropped and
 * added again, or whose name went to another one, is known by its attnum; the log tells of it with
 * the table's next row, and until then the warehouse shows the old column's values under the name.
 *
 * A table whose attributes changed is suspected. The next look says where the log ends, which is
 * behind the change; once the stream has passed that place and the version that it has come to
 * still has the name for another column, no row will tell: the table is loaded again. Alterations
 * that leave each name to its column wait for the next row, as anywhere.
 */
#include "source_postgres/stream_internal.h"
#include "source_postgres/watch_internal.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

enum { N_TABLE, N_NAME, N_NUM };

void watch_suspect(struct watch *w, uint32_t root)
{
    struct suspect *s = map_get_u32(w->suspects, root);

    if (s == NULL) {
        s = mem_calloc(1, sizeof(*s));
        map_put_u32(w->suspects, root, s);
    }
    *s = (struct suspect){.oid = root};
}

void watch_unsuspect(struct watch *w, uint32_t root)
{
    mem_free(map_remove(w->suspects, &root, sizeof(root)));
}

void watch_names_sql(struct watch *w, struct buf *sql)
{
    struct buf oids = {0};
    struct suspect *s;
    size_t at = 0;

    while ((s = map_next(w->suspects, &at)) != NULL) {
        s->asked = true;
        buf_printf(&oids, "%s%u", oids.len > 0 ? "," : "", s->oid);
    }
    buf_printf(sql,
               "; SELECT a.attrelid, a.attname, a.attnum FROM pg_catalog.pg_attribute a WHERE "
               "a.attrelid = ANY ('{%s}'::oid[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY "
               "a.attrelid",
               buf_cstr(&oids));
    buf_free(&oids);
}

/* Everything before that place was handed on. */
static bool has_passed(const struct watch *w, uint64_t end)
{
    const struct pg_stream *st = w->source->stream;

    return st != NULL && st->idle_at >= end;
}

/* A column of the table whose name another one has by now, or NULL. rows: [from, to) of res. */
static const char *taken_name(const struct table *t, const PGresult *res, int from, int to)
{
    int i;

    for (i = from; i < to; i++) {
        int k = table_find_column(t, PQgetvalue(res, i, N_NAME));

        if (k >= 0 && t->cols[k].attnum != pg_int(res, i, N_NUM))
            return t->cols[k].name;
    }
    return NULL;
}

static bool judge(struct watch *w, struct suspect *s, const PGresult *res, int from, int to,
                  uint64_t end, const struct change_sink *sink, struct error *err)
{
    const struct relation *rel = map_get_u32(w->relations->by_oid, s->oid);
    uint32_t oid = s->oid;
    const char *name;
    char why[160];

    if (!s->asked || map_get_u32(w->overtaken, oid) != NULL)
        return true;
    if (s->end == 0) {
        s->end = end;
        return true;
    }
    if (!has_passed(w, s->end))
        return true;
    watch_unsuspect(w, oid);
    if (rel == NULL || rel->table == NULL || rel->skip)
        return true;
    name = taken_name(rel->table, res, from, to);
    if (name == NULL)
        return true;
    snprintf(why, sizeof(why), "another column has the name \"%s\" by now", name);
    return watch_want(w, oid, sink, "", why, err);
}

bool watch_names_judge(struct watch *w, const PGresult *res, uint64_t end,
                       const struct change_sink *sink, struct error *err)
{
    int from, to, n = PQntuples(res);

    for (from = 0; from < n; from = to) {
        uint32_t oid = (uint32_t)pg_int(res, from, N_TABLE);
        struct suspect *s = map_get_u32(w->suspects, oid);

        for (to = from; to < n && pg_int(res, to, N_TABLE) == oid; to++)
            ;
        if (s != NULL && !judge(w, s, res, from, to, end, sink, err))
            return false;
    }
    return true;
}
