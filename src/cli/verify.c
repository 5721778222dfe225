/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock verify: the service compares tables with the source's while it runs; here it is asked,
 * followed and printed (verify_print.c). Ctrl-C cancels it. Exit code 0: every table that was asked
 * for was compared and is equal, after a repair if one was wanted.
 */
#include "cli/verify.h"
#include "cli/client.h"
#include "util/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LIMIT = 10000, MAX_TIMEOUT_MS = 86400000 };
enum { LOOK_FIRST_MS = 50, LOOK_MOST_MS = 500 };

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* Adds the option to the body if it is given. */
static bool add_number(const struct cli_args *args, json_t *body, const char *option,
                       const char *key, long max, struct error *err)
{
    const char *text = cli_value(args, option);
    char *end = NULL;
    long n;

    if (text == NULL)
        return true;
    errno = 0;
    n = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && n >= 1 && n <= max) {
        json_object_set_new(body, key, json_integer(n));
        return true;
    }
    return error_set(err, ERROR_CONFIG, "%s: \"%s\" is not a whole number from 1 to %ld", option,
                     text, max);
}

static bool add_tables(const struct cli_args *args, json_t *body, struct error *err)
{
    json_t *list = args->nmany > 0 ? json_array() : NULL;
    int i;

    for (i = 0; i < args->nmany; i++) {
        if (json_array_append_new(list, json_string(args->many[i])) != 0) {
            json_decref(list);
            return error_set(err, ERROR_CONFIG, "--table: a name is not UTF-8");
        }
    }
    if (list != NULL)
        json_object_set_new(body, "tables", list);
    return true;
}

static bool make_body(const struct cli_args *args, json_t *body, struct error *err)
{
    if (args->npositional > 0 &&
        json_object_set_new(body, "connector", json_string(args->positional[0])) != 0)
        return error_set(err, ERROR_CONFIG, "the name of the connector is not UTF-8");
    if (cli_value(args, "--repair") != NULL)
        json_object_set_new(body, "repair", json_true());
    return add_tables(args, body, err) &&
           add_number(args, body, "--limit", "limit", MAX_LIMIT, err) &&
           add_number(args, body, "--timeout", "timeout_ms", MAX_TIMEOUT_MS, err);
}

static bool is_over(const json_t *j)
{
    const char *state = json_string_value(json_object_get(j, "state"));

    return state == NULL || (strcmp(state, "waiting") != 0 && strcmp(state, "running") != 0);
}

static void draw(const json_t *j)
{
    const char *doing = json_string_value(json_object_get(j, "doing"));

    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s", doing != NULL ? doing : "waiting for its turn");
}

static void draw_end(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

/* Until it is over; *j is replaced by what it is then. */
static bool follow(const struct cli_args *args, const char *path, json_t **j, struct error *err)
{
    int wait = LOOK_FIRST_MS;
    bool told = false, ok = true;

    while (ok && !is_over(*j)) {
        draw(*j);
        if (interrupted && !told) {
            told = true;
            ok = client_tell(args, "DELETE", path, err);
        }
        clock_sleep_ms(wait);
        wait = wait * 2 > LOOK_MOST_MS ? LOOK_MOST_MS : wait * 2;
        json_decref(*j);
        *j = NULL;
        ok = ok && client_get_json(args, path, j, err);
    }
    draw_end();
    return ok;
}

static int show(const struct cli_args *args, const json_t *j)
{
    bool equal = json_is_true(json_object_get(j, "equal"));

    if (args->json) {
        char *text = json_dumps(j, JSON_INDENT(2));

        puts(text != NULL ? text : "{}");
        free(text);
    } else {
        verify_print(stdout, j);
    }
    return equal ? CLI_OK : CLI_FAILED;
}

static int verify(const struct cli_args *args, const json_t *body, struct error *err)
{
    char *text = json_dumps(body, JSON_COMPACT);
    struct sigaction act = {.sa_handler = on_signal};
    struct buf path = {0};
    json_t *j = NULL;
    bool absent, ok;
    int code = CLI_FAILED;

    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    ok = client_post_json(args, "/v1/verifications", text, &j, &absent, err);
    if (ok && !json_is_integer(json_object_get(j, "id")))
        ok = error_set(err, ERROR_DATA, "%s does not answer as penstock does", args->url);
    if (ok) {
        buf_printf(&path, "/v1/verifications/%lld",
                   (long long)json_integer_value(json_object_get(j, "id")));
        ok = follow(args, buf_cstr(&path), &j, err);
    }
    code = ok ? show(args, j) : cli_fail(err, CLI_FAILED);
    json_decref(j);
    buf_free(&path);
    free(text);
    return code;
}

static int run(const struct cli_args *args)
{
    json_t *body = json_object();
    struct error err = {0};
    int code;

    if (!make_body(args, body, &err))
        code = cli_fail(&err, CLI_USAGE);
    else
        code = verify(args, body, &err);
    json_decref(body);
    return code;
}

static const struct cli_option verify_options[] = {
    {"--table", NULL, "S.T", "only this table, or those that match; may be given again"},
    {"--repair", NULL, NULL, "read what differs at the source again, then compare once more"},
    {"--limit", NULL, "N", "differences that are listed of each table; default 1000"},
    {"--timeout", NULL, "MS", "milliseconds to wait for an exact point; default 600000"},
    {NULL, NULL, NULL, NULL},
};

const struct cli_command cli_verify = {
    .name = "verify",
    .summary = "compare tables with the source, and mend what differs",
    .usage = "verify [NAME] [--table S.T]... [--repair] [--limit N] [--timeout MS]",
    .help = "The service at --url compares every row of both sides as of the same exact point, "
            "table by\n"
            "table, while it runs. NAME is a source connector, or the warehouse that it feeds, "
            "where the\n"
            "service has several. S.T is a table, or a regular expression for the whole of "
            "SCHEMA.TABLE.\n"
            "With --repair rows that differ are read at the source again; of a table without a "
            "key, or\n"
            "where more differ than --limit, the whole table is. Ctrl-C cancels it. Exit code 0 if "
            "every\n"
            "table is equal (after the repair), 1 if not.",
    .options = verify_options,
    .max_positional = 1,
    .many = "--table",
    .run = run,
};
