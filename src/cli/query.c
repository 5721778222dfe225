/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock query: one statement that reads, run by the service in a DuckDB warehouse that it has
 * open. Asks POST /v1/query and prints the answer; exit code 1 with the service's own words if
 * there is none.
 */
#include "cli/query.h"

#include "cli/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STDIN = 1024 * 1024, DEFAULT_LIMIT = 1000, MAX_LIMIT = 100000 };
enum { DEFAULT_TIMEOUT_MS = 10000, MAX_TIMEOUT_MS = 60000 };

static bool read_stdin(struct buf *sql, struct error *err)
{
    size_t n = 1;

    while (n > 0 && sql->len <= MAX_STDIN) {
        n = fread(buf_reserve(sql, 65536), 1, 65536, stdin);
        sql->len += n;
    }
    if (ferror(stdin))
        return error_set(err, ERROR_CONFIG, "standard input cannot be read: %s", strerror(errno));
    if (sql->len > MAX_STDIN)
        return error_set(err, ERROR_CONFIG, "standard input holds more than 1 MB");
    if (sql->len > 0 && memchr(sql->data, 0, sql->len) != NULL)
        return error_set(err, ERROR_CONFIG, "standard input holds a zero byte");
    return true;
}

static bool number(const struct cli_args *args, const char *option, long max, long def, long *out,
                   struct error *err)
{
    const char *text = cli_value(args, option);
    char *end = NULL;

    *out = def;
    if (text == NULL)
        return true;
    errno = 0;
    *out = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && *out >= 1 && *out <= max)
        return true;
    error_set(err, ERROR_CONFIG, "%s: \"%s\" is not a whole number from 1 to %ld", option, text,
              max);
    return error_hint(err, "write %s %ld", option, def);
}

/* The request's body; NULL if something is not UTF-8. The caller frees it. */
static char *body_of(const char *sql, const char *connector, long limit, long timeout_ms)
{
    json_t *j = json_object();
    char *text = NULL;
    bool ok = json_object_set_new(j, "sql", json_string(sql)) == 0;

    if (connector != NULL)
        ok = json_object_set_new(j, "connector", json_string(connector)) == 0 && ok;
    json_object_set_new(j, "limit", json_integer(limit));
    json_object_set_new(j, "timeout_ms", json_integer(timeout_ms));
    if (ok)
        text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}

static bool print(const struct cli_args *args, struct buf *body, struct error *err)
{
    json_t *answer = json_loads(buf_cstr(body), JSON_ALLOW_NUL, NULL);
    bool ok = query_is_answer(answer);

    if (!ok)
        error_set(err, ERROR_DATA, "%s does not answer as penstock does", args->url);
    else if (args->json)
        puts(buf_cstr(body));
    else if (args->csv)
        query_print_csv(stdout, answer);
    else
        query_print_table(stdout, answer);
    if (ok && args->csv && json_is_true(json_object_get(answer, "truncated")))
        fprintf(stderr, "penstock: there are more rows than --limit\n");
    json_decref(answer);
    return ok;
}

static int ask(const struct cli_args *args, const char *sql, struct error *err)
{
    struct buf answer = {0};
    long limit, timeout_ms;
    char *body = NULL;
    bool absent, ok;
    int code = CLI_USAGE;

    if (sql[strspn(sql, " \t\r\n")] == '\0') {
        error_set(err, ERROR_CONFIG, "there is no statement");
        error_hint(err, "write penstock query \"SELECT ...\"");
        return CLI_USAGE;
    }
    ok = number(args, "--limit", MAX_LIMIT, DEFAULT_LIMIT, &limit, err) &&
         number(args, "--timeout", MAX_TIMEOUT_MS, DEFAULT_TIMEOUT_MS, &timeout_ms, err);
    if (ok) {
        body = body_of(sql, cli_value(args, "--connector"), limit, timeout_ms);
        ok = body != NULL || error_set(err, ERROR_CONFIG, "the statement is not UTF-8");
    }
    if (ok) {
        code = CLI_FAILED;
        if (client_post(args, "/v1/query", body, (int)(timeout_ms / 1000), &answer, &absent, err) &&
            print(args, &answer, err))
            code = CLI_OK;
    }
    free(body);
    buf_free(&answer);
    return code;
}

static int run(const struct cli_args *args)
{
    const char *sql = args->positional[0];
    struct buf from_stdin = {0};
    struct error err = {0};
    int code = CLI_USAGE;

    if (strcmp(sql, "-") != 0)
        code = ask(args, sql, &err);
    else if (read_stdin(&from_stdin, &err))
        code = ask(args, buf_cstr(&from_stdin), &err);
    buf_free(&from_stdin);
    return code == CLI_OK ? CLI_OK : cli_fail(&err, code);
}

static const struct cli_option query_options[] = {
    {"--connector", NULL, "NAME", "the warehouse's connector, where there are several"},
    {"--limit", NULL, "N", "rows at most; default 1000, at most 100000"},
    {"--timeout", NULL, "MS", "milliseconds until it is ended; default 10000, at most 60000"},
    {NULL, NULL, NULL, NULL},
};

const struct cli_command cli_query = {
    .name = "query",
    .summary = "read a DuckDB warehouse while the service runs",
    .usage = "query SQL [--connector NAME] [--limit N] [--timeout MS] [--output table|json|csv]",
    .help =
        "SQL is one statement that reads: SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE,\n"
        "or EXPLAIN of one; - reads it from standard input. The service at --url runs it, because\n"
        "DuckDB lets no other process open the file meanwhile. It sees one commit of the source\n"
        "and can change nothing. In a table control characters are escaped, and NULL without\n"
        "quotes is no value; in CSV that is an empty field, and an empty text is \"\".",
    .options = query_options,
    .min_positional = 1,
    .max_positional = 1,
    .csv = true,
    .run = run,
};
