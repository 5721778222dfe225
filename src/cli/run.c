/* SPDX-License-Identifier: Apache-2.0 */
/* penstock run: the service, in the foreground. It stays up whatever its connectors meet. */
#include "cli/cli.h"
#include "cli/serve.h"

static int run(const struct cli_args *args)
{
    const char *path = cli_value(args, "--config");
    struct service_options o = {0};
    struct config_file *cfg = NULL;
    struct error err;
    int code;

    if (!config_file_load(path != NULL ? path : "penstock.yaml", &cfg, &err))
        return cli_fail(&err, CLI_USAGE);
    code = serve(cfg, &o, NULL);
    config_file_free(cfg);
    return code;
}

static const struct cli_option run_options[] = {
    {"--config", "-c", "FILE", "configuration file, default penstock.yaml"},
    {NULL, NULL, NULL, NULL},
};

const struct cli_command cli_run = {
    .name = "run",
    .summary = "run the service in the foreground",
    .usage = "run [-c penstock.yaml]",
    .help =
        "SIGTERM applies what is complete and ends within 10 s. The state is in the warehouse:\n"
        "the service may be killed at any time and goes on from its checkpoint.",
    .options = run_options,
    .run = run,
};
