/* SPDX-License-Identifier: Apache-2.0 */
/* resync with the service stopped: the books are told, the next start loads. */
#include "cli/resync.h"
#include "cli/stopped.h"
#include "state/books_request.h"

static json_t *answer(const struct stopped *s, struct arena *a, const struct qualified *tables,
                      int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list,
                              json_string(qualified_text(a, tables[i].schema, tables[i].name)));
    return json_pack("{s:s, s:n, s:s, s:o}", "service", "stopped", "id", "connector",
                     s->source->name, "tables", list);
}

static bool run(const struct stopped *s, const struct qualified *t, json_t **out, struct error *err)
{
    struct arena *a = arena_new("resync");
    struct qualified *tables = NULL;
    struct warehouse *w;
    struct books b;
    int n = 0;
    bool ok = stopped_warehouse(s, "resync", &w, &b, err);

    if (ok && b.session == NULL) {
        error_set(err, ERROR_CONFIG, "nothing was ever loaded into warehouse %s", b.connector);
        ok = error_hint(err, "start the service: it loads every table");
    } else if (ok) {
        ok = books_request_load(&b, t != NULL ? t->schema : NULL, t != NULL ? t->name : NULL, a,
                                &tables, &n, err);
    }
    stopped_warehouse_close(s, w, &b);
    if (ok)
        *out = answer(s, a, tables, n);
    arena_free(a);
    return ok;
}

int resync_stopped(const struct resync *r, json_t **out, struct error *err)
{
    struct stopped s = {.config = r->config, .url = r->args->url};
    struct config_file *cfg;
    bool ok;

    if (!config_file_load(r->config, &cfg, err))
        return CLI_USAGE;
    ok = stopped_open(&s, cfg, r->connector, err) && run(&s, r->table, out, err);
    stopped_close(&s);
    return ok ? CLI_OK : CLI_FAILED;
}
