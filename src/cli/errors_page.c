/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/errors.md: what penstock does with each kind of error, then every row of the tables that the
 * errors themselves are made from: the causes (util/causes.c) and what each connector says of its
 * server's own codes.
 */
#include "cli/cli_internal.h"
#include "cli/markdown.h"
#include "connectors.h"
#include "util/causes.h"
#include "util/retry.h"

static const char introduction[] =
    "# Errors\n"
    "\n"
    "<!-- Made by `penstock config --errors > docs/errors.md`; do not edit. -->\n"
    "\n"
    "Every error has one kind, and the kind alone decides what happens. The log says it in one "
    "line "
    "(`kind=`, and `cause=` where\n"
    "there is one); `/connectors/NAME/status` and `penstock status` show message and what mends it "
    "as the task's `trace`; a table\n"
    "that stopped shows them as its `reason` in `/v1/tables`. Messages hold codes and names of "
    "objects, never values of rows.\n"
    "Words in braces below stand for the names of the case.\n";

static void print_kinds(FILE *out)
{
    fprintf(
        out,
        "\n"
        "| Kind | What it means | What penstock does |\n"
        "| --- | --- | --- |\n"
        "| retry | it may pass by itself | the task is RESTARTING: it goes on from the "
        "checkpoint after %g s, then after twice as long, up to %g s; half of each wait is "
        "random, so that what failed together does not come back together |\n"
        "| configuration | a person must change a setting, a right or a server | the task is "
        "FAILED and stays up: it is tried again every %g s |\n"
        "| data | one table's rows or definition cannot be carried | that table stops (`needs "
        "snapshot` or `refused`) and the others go on; where no table is to blame, as "
        "configuration |\n"
        "| conflict | somebody else owns the slot, the target or the checkpoint | the connector "
        "stops; a person decides, then restarts it |\n"
        "| fatal | exactness is lost, or penstock itself is wrong | the connector stops; under "
        "`snapshot.mode: when_needed` all tables are loaded again where the source's log is "
        "lost |\n",
        RETRY_FIRST_MS / 1000.0, RETRY_CAP_MS / 1000.0, RETRY_CONFIG_MS / 1000.0);
}

static void print_prose_or_dash(FILE *out, const char *text)
{
    if (text[0] != '\0')
        markdown_prose(out, text);
    else
        fputs("nobody: it passes by itself", out);
}

static void print_row(FILE *out, const struct error_note *n, bool coded)
{
    fputs("| ", out);
    if (coded) {
        if (n->code[0] != '\0')
            markdown_code(out, n->code);
        fputs(" | ", out);
        markdown_prose(out, n->name);
    } else {
        markdown_code(out, n->name);
    }
    fprintf(out, " | %s | ", error_kind_name(n->kind));
    markdown_prose(out, n->meaning);
    fputs(" | ", out);
    print_prose_or_dash(out, n->who);
    fputs(" |\n", out);
}

static void print_causes(FILE *out)
{
    fputs("\n## Causes\n"
          "\n"
          "What no server has a code for. `{address}` is database.hostname and database.port at a "
          "source, connection.url at a\n"
          "warehouse; `{password}` and `{tls}` are the settings of that side, too.\n"
          "\n"
          "| Cause | Kind | What it means | Who must do what |\n"
          "| --- | --- | --- | --- |\n",
          out);
    for (int i = 0; i < CAUSE_COUNT; i++)
        print_row(out, cause_note((enum cause)i), false);
}

static void print_codes(FILE *out, const char *side, const char *name,
                        bool (*note)(size_t i, struct error_note *out))
{
    struct error_note n;

    if (note == NULL)
        return;
    fprintf(out,
            "\n## %s `%s`\n"
            "\n"
            "The first row that fits counts.\n"
            "\n"
            "| Code | Name | Kind | What it means | Who must do what |\n"
            "| --- | --- | --- | --- | --- |\n",
            side, name);
    for (size_t i = 0; note(i, &n); i++)
        print_row(out, &n, true);
}

void cli_print_errors(FILE *out)
{
    fputs(introduction, out);
    print_kinds(out);
    print_causes(out);
    for (int i = 0; connectors_sources[i] != NULL; i++)
        print_codes(out, "Source", connectors_sources[i]->name, connectors_sources[i]->error_note);
    for (int i = 0; connectors_warehouses[i] != NULL; i++)
        print_codes(out, "Warehouse", connectors_warehouses[i]->name,
                    connectors_warehouses[i]->error_note);
}
