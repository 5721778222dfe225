/* SPDX-License-Identifier: Apache-2.0 */
/* penstock sync: from two URLs to rows, without a file. */
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/serve.h"
#include "cli/sync_internal.h"

static int run(const struct cli_args *args)
{
    struct config_urls u = {
        .from = cli_value(args, "--from"),
        .to = cli_value(args, "--to"),
        .tables = cli_value(args, "--tables"),
        .listen = cli_value(args, "--listen"),
        .once = cli_value(args, "--once") != NULL,
        /* Progress tells the rest: a line for each table's state would push it away. */
        .log_level = progress_possible() ? "warn" : NULL,
    };
    struct service_options o = {.once = u.once, .fail_fast = true};
    struct config_file *cfg = NULL;
    struct error err;
    bool usable, started = false;
    int code;

    if (u.from == NULL || u.to == NULL) {
        error_set(&err, ERROR_CONFIG, "sync needs both --from and --to");
        error_hint(&err, "penstock sync --from postgres://USER:PW@HOST/DB --to duckdb:FILE");
        return cli_fail(&err, CLI_USAGE);
    }
    if (!config_file_from_urls(&u, &cfg, &err)) {
        cli_fail(&err, CLI_USAGE);
        sync_check_other(&u);
        return CLI_USAGE;
    }
    o.next_free_port = u.listen == NULL;
    usable = sync_check(cfg);
    code = usable ? serve(cfg, &o, &started) : CLI_FAILED;
    if (!u.once && (started || (usable && code == CLI_OK))) /* else the slot may be another's */
        sync_say_what_remains(cfg, &u, code == CLI_OK);
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
    .help = "Both URLs are tried before anything is made. On a terminal it shows what is copied,\n"
            "then how far behind the copy is; elsewhere (also with TERM=dumb) a line for each\n"
            "event. It asks nothing. NO_COLOR=1: no colours. Ends on Ctrl-C; the same command goes "
            "on where it stopped. A password can be given\n"
            "in $PGPASSWORD instead of the URL.",
    .options = sync_options,
    .run = run,
};
