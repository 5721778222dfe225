/* SPDX-License-Identifier: Apache-2.0 */
/* penstock pause, resume, restart: a running service is asked, over Kafka Connect's endpoints. */
#include "cli/cli.h"
#include "cli/client.h"

#include <stdio.h>

struct verb {
    const char *method, *path, *said;
};

static int tell(const struct cli_args *args, const struct verb *v)
{
    struct buf path = {0};
    struct error err = {0};
    bool ok;

    if (args->positional[0][0] == '\0') {
        error_set(&err, ERROR_CONFIG, "the name of the connector is empty");
        error_hint(&err, "penstock status lists the connectors");
        return cli_fail(&err, CLI_USAGE);
    }
    buf_puts(&path, "/connectors/");
    client_segment(&path, args->positional[0]);
    buf_puts(&path, v->path);
    ok = client_tell(args, v->method, buf_cstr(&path), &err);
    buf_free(&path);
    if (!ok)
        return cli_fail(&err, CLI_FAILED);
    if (!args->json)
        printf("%s; follow it with: penstock status --url %s\n", v->said, args->url);
    return CLI_OK;
}

static int run_pause(const struct cli_args *args)
{
    return tell(args, &(struct verb){"PUT", "/pause",
                                     "it pauses: what is complete is applied, and the source keeps "
                                     "its log from there on"});
}

static int run_resume(const struct cli_args *args)
{
    return tell(args, &(struct verb){"PUT", "/resume", "it goes on"});
}

static int run_restart(const struct cli_args *args)
{
    return tell(args, &(struct verb){"POST", "/restart", "it starts again from its checkpoint"});
}

const struct cli_command cli_pause = {
    .name = "pause",
    .summary = "let a connector stand until it is resumed",
    .usage = "pause NAME",
    .help = "NAME is a source connector or the warehouse that it feeds: they stand together, also\n"
            "after a restart of the service. The source keeps its log meanwhile: penstock status\n"
            "says how much.",
    .min_positional = 1,
    .max_positional = 1,
    .run = run_pause,
};

const struct cli_command cli_resume = {
    .name = "resume",
    .summary = "let a paused connector go on",
    .usage = "resume NAME",
    .min_positional = 1,
    .max_positional = 1,
    .run = run_resume,
};

const struct cli_command cli_restart = {
    .name = "restart",
    .summary = "start a connector again, also one that has failed",
    .usage = "restart NAME",
    .help = "Its connections are made anew, and it goes on from its checkpoint. One that has failed\n"
            "tries again: do it when what it asked for is done.",
    .min_positional = 1,
    .max_positional = 1,
    .run = run_restart,
};
