/* SPDX-License-Identifier: Apache-2.0 */
/* The manual page and bash's completion, made from the table of commands and their options. */
#include "cli/manual.h"

#include <string.h>

#ifndef PENSTOCK_VERSION
#define PENSTOCK_VERSION "0.0.0"
#endif

/* Text of a manual page: no request of troff begins a line, minus signs can be copied. */
static void roff(FILE *out, const char *text)
{
    bool line = true;

    for (; *text != '\0'; text++) {
        if (line && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
        line = *text == '\n';
    }
}

static void roff_options(FILE *out, const struct cli_option *o)
{
    for (; o != NULL && o->name != NULL; o++) {
        fputs(".TP\n\\fB", out);
        if (o->alias != NULL) {
            roff(out, o->alias);
            fputs("\\fR, \\fB", out);
        }
        roff(out, o->name);
        fputs("\\fR", out);
        if (o->value != NULL) {
            fputs(" \\fI", out);
            roff(out, o->value);
            fputs("\\fR", out);
        }
        fputs("\n", out);
        roff(out, o->help);
        fputs("\n", out);
    }
}

static void roff_command(FILE *out, const struct cli_command *c)
{
    const char *p = c->usage, *end;

    fprintf(out, ".SS %s\n", c->name);
    roff(out, c->summary);
    fputs(".\n.PP\n.nf\n", out);
    do { /* a usage of several lines names the program on all but the first */
        end = strchr(p, '\n');
        p += strspn(p, " ");
        if (strncmp(p, "penstock ", 9) == 0)
            p += 9;
        fprintf(out, "\\fBpenstock\\fR ");
        for (; *p != '\0' && *p != '\n'; p++)
            fputs(*p == '-' ? "\\-" : (char[]){*p, '\0'}, out);
        fputc('\n', out);
        p++;
    } while (end != NULL);
    fputs(".fi\n", out);
    if (c->help != NULL) {
        fputs(".PP\n", out);
        roff(out, c->help);
        fputs("\n", out);
    }
    roff_options(out, c->options);
}

void cli_print_manual(FILE *out, const struct cli_command *const *commands,
                      const struct cli_option *global)
{
    fprintf(out,
            ".TH PENSTOCK 1 \"\" \"penstock %s\" \"User Commands\"\n"
            ".SH NAME\npenstock \\- keeps a warehouse equal to a running database\n"
            ".SH SYNOPSIS\n\\fBpenstock\\fR \\fICOMMAND\\fR [options]\n"
            ".SH DESCRIPTION\nReads the database's log, turns every row change into an event and "
            "applies the events in micro\\-batches as idempotent upserts. The settings of a "
            "service's file: \\fBpenstock config\\fR.\n.SH COMMANDS\n",
            PENSTOCK_VERSION);
    for (; *commands != NULL; commands++)
        roff_command(out, *commands);
    fputs(".SH GLOBAL OPTIONS\n", out);
    roff_options(out, global);
    fputs(".SH EXIT STATUS\n.TP\n0\ndone; \\fBcheck\\fR: nothing stops a run\n"
          ".TP\n1\nfailed; \\fBcheck\\fR: something stops a run\n"
          ".TP\n2\nwrong command line, file or setting\n"
          ".SH ENVIRONMENT\n.TP\n\\fBPENSTOCK_TOKEN\\fR\nthe service's api.token\n"
          ".TP\n\\fBPGPASSWORD\\fR\nthe password of a postgres:// URL that names none\n"
          ".SH FILES\n.TP\npenstock.yaml\nthe service's file, in the working directory\n",
          out);
}

static void words(FILE *out, const struct cli_option *o)
{
    for (; o != NULL && o->name != NULL; o++)
        fprintf(out, " %s%s%s", o->name, o->alias ? " " : "", o->alias ? o->alias : "");
}

void cli_print_completion(FILE *out, const struct cli_command *const *commands,
                          const struct cli_option *global)
{
    int i;

    fputs("# bash completion of penstock: source this, or put it where bash-completion looks\n"
          "_penstock()\n{\n    local word=${COMP_WORDS[COMP_CWORD]} command= i options=\n"
          "    COMPREPLY=()\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        [[ ${COMP_WORDS[i]} != -* ]] && command=${COMP_WORDS[i]} && break\n"
          "    done\n"
          "    case ${COMP_WORDS[COMP_CWORD - 1]} in\n"
          "    -c|--config) compopt -o default; return ;;\n"
          "    --output) COMPREPLY=($(compgen -W \"table json\" -- \"$word\")); return ;;\n"
          "    esac\n    case $command in\n    '') options=\"",
          out);
    for (i = 0; commands[i] != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", commands[i]->name);
    words(out, global);
    fputs("\" ;;\n", out);
    for (i = 0; commands[i] != NULL; i++) {
        fprintf(out, "    %s) options=\"", commands[i]->name);
        words(out, commands[i]->options);
        words(out, global);
        fputs("\" ;;\n", out);
    }
    fputs("    esac\n    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n}\n"
          "complete -F _penstock penstock\n",
          out);
}
