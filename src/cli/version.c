/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock version`: the program's and, for reports of faults, those of the libraries in use. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "cli/cli.h"
#include "util/failpoint.h"

#include <duckdb.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <openssl/crypto.h>
#include <pcre2.h>
#include <sqlite3.h>
#include <stdio.h>

static int run_version(const struct cli_args *args)
{
    char libpq[16], pcre2[64] = "";
    int version = PQlibVersion();

    if (cli_value(args, "--failpoints") != NULL) {
        failpoint_list(stdout);
        return CLI_OK;
    }
    snprintf(libpq, sizeof(libpq), "%d.%d", version / 10000, version % 10000);
    pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
    const char *const parts[][2] = {
        {"penstock", PENSTOCK_VERSION},
        {"libpq", libpq},
        {"libduckdb", duckdb_library_version()},
        {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
        {"sqlite", sqlite3_libversion()},
        {"pcre2", pcre2},
    };
    json_t *all = json_object();

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (args->json)
            json_object_set_new(all, parts[i][0], json_string(parts[i][1]));
        else
            printf("%s %s\n", parts[i][0], parts[i][1]);
    }
    if (args->json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(all);
    return CLI_OK;
}

static const struct cli_option version_options[] = {
    {"--failpoints", NULL, NULL, "names that PENSTOCK_FAILPOINT takes; none but in a test build"},
    {NULL, NULL, NULL, NULL},
};

const struct cli_command cli_version = {
    .name = "version",
    .summary = "the version, and those of the libraries in use",
    .usage = "version [--failpoints] [--output json]",
    .options = version_options,
    .run = run_version,
};
