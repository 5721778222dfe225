/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: parsing, exit codes, help, `config`, and that docs/configuration.md and
 * docs/errors.md are what the tables say. Runs in the root of the source tree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_internal.h"
#include "cli/client.h"

static struct cli_args args;
static struct error err;
static enum cli_wanted wanted;

#define MAX_WORDS 12

/* Cuts the line at blanks; the words live until the next call. */
static int words(const char *line, char **argv)
{
    static char copy[512];
    int argc = 0;
    char *save = NULL;

    snprintf(copy, sizeof(copy), "penstock %s", line);
    for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
        assert_true(argc < MAX_WORDS);
        argv[argc++] = w;
    }
    argv[argc] = NULL;
    return argc;
}

static bool parse(const char *line)
{
    char *argv[MAX_WORDS + 1];
    int argc = words(line, argv);

    error_clear(&err);
    return cli_parse(argc, argv, &args, &wanted, &err);
}

static void refused(const char *line, const char *message, const char *hint)
{
    if (parse(line))
        fail_msg("accepted: %s", line);
    assert_int_equal(err.kind, ERROR_CONFIG);
    if (strstr(err.message, message) == NULL || strstr(err.hint, hint) == NULL)
        fail_msg("%s -> %s / %s", line, err.message, err.hint);
}

static void options(void **state)
{
    (void)state;
    assert_true(parse("sync --from postgres://h/d --to=duckdb:w=1 --once"));
    assert_ptr_equal(args.command, &cli_sync);
    assert_string_equal(cli_value(&args, "--from"), "postgres://h/d");
    assert_string_equal(cli_value(&args, "--to"), "duckdb:w=1");
    assert_string_equal(cli_value(&args, "--once"), "");
    assert_null(cli_value(&args, "--tables"));
    assert_string_equal(args.url, "http://127.0.0.1:8083");
    assert_false(args.json);

    assert_true(parse("--output json --url=http://h config -c f.yaml"));
    assert_string_equal(cli_value(&args, "--config"), "f.yaml");
    assert_string_equal(args.url, "http://h");
    assert_true(args.json);
    assert_true(parse("config -cf.yaml"));
    assert_string_equal(cli_value(&args, "--config"), "f.yaml");
    assert_true(parse("help -- sync"));
    assert_string_equal(args.positional[0], "sync");
    assert_true(parse("sync --help"));
    assert_int_equal(wanted, CLI_WANT_HELP);
    assert_true(parse("--version"));
    assert_int_equal(wanted, CLI_WANT_VERSION);
    assert_true(parse("resync shop --table \"a.b\".c -c f.yaml"));
    assert_ptr_equal(args.command, &cli_resync);
    assert_string_equal(args.positional[0], "shop");
    assert_string_equal(cli_value(&args, "--table"), "\"a.b\".c");
    assert_string_equal(cli_value(&args, "--config"), "f.yaml");
    assert_true(parse("verify --table a.b shop --table=c.d --repair --table e.f"));
    assert_ptr_equal(args.command, &cli_verify);
    assert_int_equal(args.nmany, 3);
    assert_string_equal(args.many[1], "c.d");
    assert_string_equal(args.positional[0], "shop");
    assert_non_null(cli_value(&args, "--repair"));
    setenv("PENSTOCK_TOKEN", "t0", 1);
    assert_true(parse("config"));
    assert_string_equal(args.token, "t0");
    assert_true(parse("config --token t1"));
    assert_string_equal(args.token, "t1");
}

static void wrong_lines(void **state)
{
    (void)state;
    refused("snyc", "snyc is not a command", "did you mean `penstock sync`?");
    refused("zzzzzz", "is not a command", "`penstock help`");
    refused("sync --form x", "--form is not an option of penstock sync", "did you mean --from?");
    refused("sync --form=hunter2", "--form is not an option", "--from");
    assert_null(strstr(err.message, "hunter2"));
    refused("config -x", "-x is not an option", "");
    refused("--outptu json", "--outptu is not an option", "did you mean --output?");
    refused("sync --from --to x", "--from needs a value", "--from URL");
    refused("config -c", "--config needs a value", "--config FILE");
    refused("config --markdown=x", "takes no value", "");
    refused("config -c a -c b", "--config is given twice", "");
    refused("config --output yaml", "not one of: table,json", "");
    refused("resync", "an argument is missing", "resync NAME [--table S.T]");
    refused("resync a b", "one argument too many", "");
    refused("resync a --tables x.y", "--tables is not an option", "did you mean --table?");
    refused("resync a --table x.y --table x.z", "--table is given twice", "");
    refused("verify --table", "--table needs a value", "--table S.T");
    refused("verify --repair --repair", "--repair is given twice", "");
    refused("version x", "one argument too many", "usage: penstock version");
}

/* Runs the program's main on a line; what it printed is in out and log, to be freed. */
static char *read_back(FILE *f)
{
    long size;
    char *text;

    fflush(f);
    size = ftell(f);
    rewind(f);
    text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, f), size);
    fclose(f);
    return text;
}

static int run(const char *line, char **out, char **log)
{
    char *argv[MAX_WORDS + 1];
    int argc = words(line, argv), code, fds[2] = {dup(1), dup(2)};
    FILE *files[2] = {tmpfile(), tmpfile()};

    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        assert_non_null(files[i]);
        dup2(fileno(files[i]), i + 1);
    }
    code = cli_main(argc, argv);
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        dup2(fds[i], i + 1);
        close(fds[i]);
        fseek(files[i], 0, SEEK_END);
    }
    *out = read_back(files[0]);
    *log = read_back(files[1]);
    return code;
}

static void prints(const char *line, int code, const char *in_out, const char *in_log)
{
    char *out, *log;
    int got = run(line, &out, &log);

    if (got != code || strstr(out, in_out) == NULL || strstr(log, in_log) == NULL)
        fail_msg("%s -> %d\n%s\n%s", line, got, out, log);
    free(out);
    free(log);
}

static void exit_codes(void **state)
{
    (void)state;
    prints("", CLI_USAGE, "commands:", "");
    prints("help", CLI_OK, "commands:", "");
    prints("--help", CLI_OK, "commands:", "");
    prints("help sync", CLI_OK, "--from URL", "");
    prints("sync --help", CLI_OK, "usage: penstock sync", "");
    prints("help nosuch", CLI_USAGE, "", "penstock: nosuch is not a command");
    prints("--version", CLI_OK, "penstock " PENSTOCK_VERSION "\n", "");
    prints("version", CLI_OK, "libpq ", "");
    prints("config", CLI_OK, "table.include.list", "");
    prints("config --lost", CLI_USAGE, "", "penstock: --lost is not an option");
    prints("config -c /nonexistent/x.yaml", CLI_USAGE, "", "cannot read /nonexistent/x.yaml");
    prints("config -c x --markdown", CLI_USAGE, "", "  to mend it: ");
    prints("config -c x --errors", CLI_USAGE, "", "--errors describes every error, not a file");
    prints("config --errors", CLI_OK, "| `28P01` | invalid\\_password | configuration |", "");
}

#define NOBODY " --url http://127.0.0.1:1" /* nothing listens on port 1 */

/* What is wrong is said before, or instead of, asking somebody. */
static void verify_without_a_service(void **state)
{
    (void)state;
    prints("help verify", CLI_OK, "verify [NAME] [--table S.T]...", "");
    prints("verify --limit 0" NOBODY, CLI_USAGE, "", "--limit: \"0\" is not a whole number");
    prints("verify --limit 7x" NOBODY, CLI_USAGE, "", "is not a whole number from 1 to 10000");
    prints("verify --timeout -1" NOBODY, CLI_USAGE, "", "--timeout: \"-1\" is not");
    prints("verify --table \xff" NOBODY, CLI_USAGE, "", "is not UTF-8");
    prints("verify \xff" NOBODY, CLI_USAGE, "", "is not UTF-8");
    prints("verify shop --repair" NOBODY, CLI_FAILED, "",
           "no service answers at http://127.0.0.1:1");
}

static void resync_without_a_service(void **state)
{
    (void)state;
    setenv("SHOP_PASSWORD", "hunter2", 1);
    prints("help resync", CLI_OK, "'\"a.b\".\"c\"' is table c of schema a.b", "");
    prints("resync shop --table orders" NOBODY, CLI_USAGE, "", "'orders' is not SCHEMA.TABLE");
    prints("resync shop --table \"a.b" NOBODY, CLI_USAGE, "", "is not SCHEMA.TABLE");
    prints("resync shop --table a.\xff" NOBODY, CLI_USAGE, "", "is not SCHEMA.TABLE");
    prints("resync shop --url gopher://127.0.0.1", CLI_FAILED, "", "is not an address of a serv");
    prints("resync shop" NOBODY, CLI_FAILED, "", "no service answers at http://127.0.0.1:1");
    prints("resync shop" NOBODY, CLI_FAILED, "", "give its file with -c FILE");
    prints("resync shop -c /nonexistent/x.yaml" NOBODY, CLI_USAGE, "", "cannot read /nonexistent");
    prints("resync shpo -c examples/penstock.yaml" NOBODY, CLI_FAILED, "", "did you mean shop?");
    prints("resync shop -c examples/penstock.yaml" NOBODY, CLI_FAILED, "",
           "warehouse.duckdb cannot be opened: No such file");
    assert_int_not_equal(access("warehouse.duckdb", F_OK), 0);
}

static void segments(void **state)
{
    struct buf b = {0};

    (void)state;
    client_segment(&b, "shop-1_~.x");
    assert_string_equal(buf_cstr(&b), "shop-1_~.x");
    buf_reset(&b);
    client_segment(&b, "a/b c?%\"\xc3\xa4");
    assert_string_equal(buf_cstr(&b), "a%2Fb%20c%3F%25%22%C3%A4");
    buf_free(&b);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* The example file comes out checked, with defaults, without secrets, and can be read again. */
static void config_of_a_file(void **state)
{
    char path[] = "/tmp/penstock-test-XXXXXX", line[64], *out, *log, *again;
    int fd = mkstemp(path);

    (void)state;
    close(fd);
    unsetenv("SHOP_PASSWORD");
    prints("config -c examples/penstock.yaml", CLI_USAGE, "", "no variable SHOP_PASSWORD");
    setenv("SHOP_PASSWORD", "hunter2", 1);
    assert_int_equal(run("config -c examples/penstock.yaml", &out, &log), CLI_OK);
    assert_null(strstr(out, "hunter2"));
    assert_non_null(strstr(out, "database.password: '[hidden]'\n"));
    assert_non_null(strstr(out, "table.include.list: 'public\\..*'\n"));
    assert_non_null(strstr(out, "batch.bytes: 8MB  # default\n"));
    write_file(path, out);
    free(log);
    snprintf(line, sizeof(line), "config -c %s", path);
    assert_int_equal(run(line, &again, &log), CLI_OK);
    free(again);
    free(log);
    free(out);
    unlink(path);
}

static void config_as_json(void **state)
{
    char *out, *log;
    json_t *all;
    const char *text;

    (void)state;
    setenv("SHOP_PASSWORD", "hunter2", 1);
    assert_int_equal(run("config --output json -c examples/penstock.yaml", &out, &log), CLI_OK);
    all = json_loads(out, 0, NULL);
    assert_non_null(all);
    text = json_string_value(json_object_get(
        json_object_get(json_object_get(all, "connectors"), "shop"), "database.password"));
    assert_string_equal(text, "[hidden]");
    json_decref(all);
    free(out);
    free(log);

    assert_int_equal(run("config --output json", &out, &log), CLI_OK);
    all = json_loads(out, 0, NULL);
    assert_non_null(all);
    assert_true(json_array_size(json_object_get(all, "service")) > 5);
    json_decref(all);
    free(out);
    free(log);
}

static void page_is_current(const char *path, void (*print)(FILE *out))
{
    FILE *f = fopen(path, "r");
    char *now = NULL, *stored;
    size_t size = 0;
    FILE *out = open_memstream(&now, &size);

    if (f == NULL)
        fail_msg("%s cannot be read; run the tests in the root of the tree", path);
    fseek(f, 0, SEEK_END);
    stored = read_back(f);
    print(out);
    fclose(out);
    if (strcmp(now, stored) != 0)
        fail_msg("%s is stale: make docs", path);
    free(now);
    free(stored);
}

static void the_pages_are_current(void **state)
{
    (void)state;
    page_is_current("docs/configuration.md", cli_print_markdown);
    page_is_current("docs/errors.md", cli_print_errors);
}

/* What help and the document are made from: nothing empty, nothing without its end. */
static void the_table_of_commands(void **state)
{
    (void)state;
    for (int i = 0; cli_commands[i] != NULL; i++) {
        const struct cli_command *c = cli_commands[i];
        int n = 0;

        assert_non_null(c->run);
        assert_true(strlen(c->summary) > 0);
        assert_memory_equal(c->usage, c->name, strlen(c->name));
        while (c->options != NULL && c->options[n].name != NULL)
            assert_non_null(c->options[n++].help);
        assert_true(n <= (int)(sizeof(args.values) / sizeof(args.values[0])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options),
        cmocka_unit_test(wrong_lines),
        cmocka_unit_test(exit_codes),
        cmocka_unit_test(resync_without_a_service),
        cmocka_unit_test(verify_without_a_service),
        cmocka_unit_test(segments),
        cmocka_unit_test(config_of_a_file),
        cmocka_unit_test(config_as_json),
        cmocka_unit_test(the_pages_are_current),
        cmocka_unit_test(the_table_of_commands),
    };

    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
