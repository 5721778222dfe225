/* SPDX-License-Identifier: Apache-2.0 */
/* penstock sync: from two URLs to rows, without a file. */
#include "cli/cli.h"
#include "cli/serve.h"
#include "metrics/metrics.h"
#include "source.h"

#include <stdio.h>

/* What stays at the source when it ends, and how to remove it. */
static void say_what_remains(const struct config_file *cfg)
{
    int i;

    for (i = 0; i < cfg->nconnectors; i++) {
        const struct config_connector *c = &cfg->connectors[i];
        const char *slot, *publication;

        if (c->source == NULL)
            continue;
        slot = config_string(c->config, "slot.name");
        publication = config_string(c->config, "publication.name");
        fprintf(stderr,
                "penstock: slot %s remains at the source and keeps the log from here on (now %lld "
                "bytes):\n"
                "  run the same command again to go on, or take everything away with\n"
                "  penstock remove --from .. --to .. (the same URLs); at the source by hand:\n"
                "  SELECT pg_drop_replication_slot('%s'); DROP PUBLICATION \"%s\";\n",
                slot, (long long)metric_get(METRIC_SOURCE_RETAINED_BYTES, c->name), slot,
                publication);
    }
}

static int run(const struct cli_args *args)
{
    struct config_urls u = {
        .from = cli_value(args, "--from"),
        .to = cli_value(args, "--to"),
        .tables = cli_value(args, "--tables"),
        .listen = cli_value(args, "--listen"),
        .once = cli_value(args, "--once") != NULL,
    };
    struct service_options o = {.once = u.once, .fail_fast = true};
    struct config_file *cfg = NULL;
    struct error err;
    int code;

    if (u.from == NULL || u.to == NULL) {
        error_set(&err, ERROR_CONFIG, "sync needs both --from and --to");
        error_hint(&err, "penstock sync --from postgres://USER:PW@HOST/DB --to duckdb:FILE");
        return cli_fail(&err, CLI_USAGE);
    }
    if (!config_file_from_urls(&u, &cfg, &err))
        return cli_fail(&err, CLI_USAGE);
    o.next_free_port = u.listen == NULL;
    code = serve(cfg, &o);
    if (code == CLI_OK && !u.once)
        say_what_remains(cfg);
    config_file_free(cfg);
    return code;
}

static const struct cli_option sync_options[] = {
    {"--from", NULL, "URL", "the source: postgres://USER:PW@HOST:PORT/DB"},
    {"--to", NULL, "URL", "the warehouse: duckdb:PATH or postgres://USER:PW@HOST:PORT/DB"},
    {"--tables", NULL, "REGEX", "only these tables (schema.table), comma-separated"},
    {"--once", NULL, NULL, "load, then end; nothing is left at the source"},
    {"--listen", NULL, "HOST:PORT",
     "where HTTP is served, default 127.0.0.1:8083 or the next free"},
    {NULL, NULL, NULL, NULL},
};

const struct cli_command cli_sync = {
    .name = "sync",
    .summary = "copy a database into a warehouse and keep the copy equal, without a file",
    .usage = "sync --from URL --to URL [--tables REGEX] [--once]",
    .help = "Ends on Ctrl-C; the same command goes on where it stopped. A password can be given\n"
            "in $PGPASSWORD instead of the URL.",
    .options = sync_options,
    .run = run,
};
