/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock remove: takes away what a connector has made: the slot and the publication at the
 * source, the books (and, with --tables, the tables) in the warehouse, what waits in data.dir. Says
 * first what that is, and asks. What was interrupted goes on when it is called again: whatever is
 * gone already counts as removed.
 */
#include "cli/cli.h"
#include "cli/stopped.h"
#include "load/spool.h"
#include "state/books_remove.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_CONFIG "penstock.yaml"

struct removal {
    const struct cli_args *args;
    struct stopped s;
    bool tables, warehouse_only;
    struct arena *arena;

    struct source *src;
    struct source_identity id; /* .mark: the slot's name */
    struct mark mark;
    char prepared[POSITION_SIZE];
    bool ours; /* prepared can go */

    struct warehouse *w;
    struct books books; /* session NULL: there are none */
    struct qualified *targets;
    int ntargets;
    bool kept; /* the schema penstock, for what is not ours */
};

/* --- what is there --- */

static bool look_at_source(struct removal *r, struct error *err)
{
    const struct source_ops *ops = r->s.source->source;

    if (r->warehouse_only)
        return true;
    if (ops->open(&r->src, r->s.source->config, err) && ops->connect(r->src, &r->id, err) &&
        ops->mark_read(r->src, &r->mark, err) && ops->prepared(r->src, r->prepared, &r->ours, err))
        return true;
    error_prefix(err, "source %s", r->s.source->name);
    if (err->kind == ERROR_RETRY)
        error_hint(err, "nothing was removed. If that server is gone for good, run it with "
                        "--warehouse-only; if it only does not answer now, later: its slot keeps "
                        "the log until it is dropped");
    return false;
}

static bool look_at_warehouse(struct removal *r, struct error *err)
{
    if (stopped_warehouse(&r->s, "remove", &r->w, &r->books, err) &&
        (r->books.session == NULL ||
         books_targets_made(&r->books, r->arena, &r->targets, &r->ntargets, err)))
        return true;
    return error_prefix(err, "warehouse %s", r->s.sink->name);
}

static json_t *names(const struct removal *r)
{
    json_t *list = json_array();

    for (int i = 0; i < r->ntargets; i++)
        json_array_append_new(
            list, json_string(qualified_text(r->arena, r->targets[i].schema, r->targets[i].name)));
    return list;
}

static const char *slot(const struct removal *r)
{
    return r->mark.state != MARK_MISSING ? r->id.mark : NULL;
}

static const char *publication(const struct removal *r, bool ours)
{
    return r->prepared[0] != '\0' && r->ours == ours ? r->prepared : NULL;
}

static json_t *answer(const struct removal *r)
{
    return json_pack("{s:s, s:s?, s:s?, s:s?, s:b, s:b, s:o}", "connector", r->s.source->name,
                     "slot", slot(r), "publication", publication(r, true), "publication_kept",
                     publication(r, false), "books", r->books.session != NULL, "tables_dropped",
                     r->tables, "tables", names(r));
}

static bool nothing(const struct removal *r)
{
    return slot(r) == NULL && publication(r, true) == NULL && r->books.session == NULL;
}

static void show(const struct removal *r, FILE *out)
{
    const char *name = r->s.source->name;

    fprintf(out, "what connector %s has made:\n", name);
    if (r->warehouse_only)
        fputs("  at the source     not looked at (--warehouse-only)\n", out);
    else if (slot(r) == NULL)
        fputs("  at the source     no replication slot\n", out);
    else
        fprintf(out, "  at the source     replication slot %s, which keeps %lld bytes of log\n",
                slot(r), (long long)r->mark.retained_bytes);
    if (r->prepared[0] != '\0')
        fprintf(out, "                    %spublication %s%s\n", r->ours ? "" : "(stays) ",
                r->prepared, r->ours ? "" : ", which another role owns");
    if (r->books.session == NULL) {
        fputs("  in the warehouse  nothing\n", out);
        return;
    }
    fputs("  in the warehouse  its position and its tables' states (schema penstock)\n", out);
    for (int i = 0; i < r->ntargets; i++)
        fprintf(out, "                    %stable %s\n", r->tables ? "" : "(stays) ",
                qualified_text(r->arena, r->targets[i].schema, r->targets[i].name));
}

/* --- the question --- */

static bool agreed(const struct removal *r, struct error *err)
{
    char line[16] = "";

    if (cli_value(r->args, "--yes") != NULL)
        return true;
    if (!isatty(STDIN_FILENO)) {
        error_set(err, ERROR_CONFIG, "nothing was removed: there is no terminal to ask at");
        return error_hint(err, "look at the list above; to remove it, say --yes");
    }
    fprintf(stderr, "remove it%s? [y/N] ", r->tables && r->ntargets > 0 ? ", tables too" : "");
    if (fgets(line, sizeof(line), stdin) != NULL &&
        (strcmp(line, "y\n") == 0 || strcmp(line, "yes\n") == 0))
        return true;
    return error_set(err, ERROR_CONFIG, "nothing was removed");
}

/* --- the deed --- */

/* The slot first: nothing else does harm while it stays. */
static bool remove_all(struct removal *r, struct error *err)
{
    const struct source_ops *ops = r->s.source->source;

    if (!r->warehouse_only && (!ops->mark_drop(r->src, err) || !ops->unprepare(r->src, err)))
        return false;
    if (r->books.session != NULL &&
        !books_remove(&r->books, r->targets, r->tables ? r->ntargets : 0, &r->kept, err))
        return error_prefix(err, "warehouse %s", r->s.sink->name);
    spool_sweep(config_string(r->s.cfg->service, "data.dir"), r->s.source->name, NULL, NULL);
    return true;
}

static bool run_removal(struct removal *r, struct error *err)
{
    json_t *j;

    if (!look_at_source(r, err) || !look_at_warehouse(r, err))
        return false;
    j = answer(r);
    if (!r->args->json)
        show(r, stdout);
    fflush(stdout);
    if (!nothing(r) && (!agreed(r, err) || !remove_all(r, err))) {
        json_decref(j);
        return false;
    }
    if (r->kept)
        fputs("penstock: schema penstock stays in the warehouse, empty: a table or view that "
              "penstock did not make is in it or reads it\n",
              stderr);
    if (r->args->json) {
        char *dump = json_dumps(j, JSON_INDENT(2));

        puts(dump ? dump : "{}");
        free(dump);
    } else {
        puts(nothing(r) ? "there was nothing to remove" : "removed");
    }
    json_decref(j);
    return true;
}

static bool load(const struct cli_args *args, const char **label, struct config_file **cfg,
                 struct error *err)
{
    struct config_urls u = {.from = cli_value(args, "--from"), .to = cli_value(args, "--to")};
    const char *file = cli_value(args, "--config");

    if ((u.from != NULL) != (u.to != NULL) || (u.from != NULL && file != NULL)) {
        error_set(err, ERROR_CONFIG, "remove needs --from and --to together, or a file");
        return error_hint(err, "penstock remove NAME -c penstock.yaml; after a sync: penstock "
                               "remove --from URL --to URL, with the same URLs");
    }
    if (u.from == NULL && args->npositional == 0) {
        error_set(err, ERROR_CONFIG, "which connector?");
        return error_hint(err, "penstock remove NAME -c penstock.yaml");
    }
    *label = u.from != NULL ? "--from and --to" : file != NULL ? file : DEFAULT_CONFIG;
    return u.from != NULL ? config_file_from_urls(&u, cfg, err)
                          : config_file_load(*label, cfg, err);
}

static int run(const struct cli_args *args)
{
    struct removal r = {.args = args,
                        .tables = cli_value(args, "--tables") != NULL,
                        .warehouse_only = cli_value(args, "--warehouse-only") != NULL};
    struct config_file *cfg;
    struct error err = {0};
    bool ok;

    if (!load(args, &r.s.config, &cfg, &err))
        return cli_fail(&err, CLI_USAGE);
    r.s.url = args->url;
    r.arena = arena_new("remove");
    ok = stopped_open(&r.s, cfg, args->npositional > 0 ? args->positional[0] : NULL, &err) &&
         run_removal(&r, &err);
    if (r.s.source != NULL)
        r.s.source->source->close(r.src);
    if (r.s.sink != NULL)
        stopped_warehouse_close(&r.s, r.w, &r.books);
    stopped_close(&r.s);
    arena_free(r.arena);
    return ok ? CLI_OK : cli_fail(&err, CLI_FAILED);
}

static const struct cli_option remove_options[] = {
    {"--config", "-c", "FILE", "the service's file; default penstock.yaml"},
    {"--from", NULL, "URL", "instead of a file: the source that sync was given"},
    {"--to", NULL, "URL", "and the warehouse"},
    {"--tables", NULL, NULL, "the tables in the warehouse, too"},
    {"--warehouse-only", NULL, NULL, "leave the source alone: that server is gone"},
    {"--yes", "-y", NULL, "do not ask"},
    {NULL, NULL, NULL, NULL},
};

const struct cli_command cli_remove = {
    .name = "remove",
    .summary = "take away what a connector has made: slot, publication, books, tables",
    .usage = "remove NAME [-c FILE] [--tables] [--yes]\n"
             "       penstock remove --from URL --to URL [--tables] [--yes]",
    .help = "The service must be stopped. What there is to remove is listed first, then it asks.\n"
            "The tables in the warehouse stay unless --tables is given; a publication that\n"
            "penstock did not make (another role owns it, or publication.autocreate.mode is\n"
            "disabled) always stays.",
    .options = remove_options,
    .max_positional = 1,
    .run = run,
};
