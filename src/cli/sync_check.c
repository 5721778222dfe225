/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source is connected to, which judges server and role; the warehouse is looked at as `check`
 * does it. Tables are not: one that cannot be replicated does not stop the others.
 */
#include "cli/cli.h"
#include "cli/sync_internal.h"
#include "load/warehouse.h"
#include "source.h"

#include <stdio.h>
#include <string.h>

/* identity: as the warehouse's of a database; "": not known. */
static bool check_source(const struct config_connector *c, char *identity, size_t size,
                         struct error *err)
{
    struct source_identity id;
    struct source *s = NULL;
    bool ok = c->source->open(&s, c->config, err) && c->source->connect(s, &id, err);

    if (ok)
        snprintf(identity, size, "%s/%u", id.system, id.database_oid);
    c->source->close(s);
    return ok || error_prefix(err, "--from");
}

/* The first of what stands against it. */
static bool take_finding(const struct findings *found, struct error *err)
{
    const struct finding *f;
    struct buf fix = {0};

    for (f = found->first; f != NULL && f->severity != FINDING_STOPS; f = f->next)
        ;
    if (f == NULL)
        return true;
    finding_fix(f, &fix);
    error_set(err, ERROR_CONFIG, "%s", f->message);
    if (fix.len > 0)
        error_hint(err, "%s", buf_cstr(&fix));
    buf_free(&fix);
    return false;
}

static bool check_warehouse_side(const struct config_connector *c, char *identity, size_t size,
                                 struct error *err)
{
    const struct warehouse_ops *ops = c->warehouse;
    const struct warehouse_wants wants = {.bytes = -1};
    struct findings found = {0};
    struct warehouse *w = NULL;
    bool empty = false, ok;

    ok = ops->look != NULL ? ops->look(&w, c->config, &empty, err) : ops->open(&w, c->config, err);
    ok = ok && ops->check(w, &wants, &found, err) && take_finding(&found, err) &&
         ops->identity(w, identity, size, err);
    findings_free(&found);
    ops->close(w);
    return ok || error_prefix(err, "--to");
}

/* Who gave URLs knows no settings: the fix names the part of the URL. */
static void name_urls(struct error *err)
{
    static const char *const names[][2] = {
        {"database.hostname and database.port", "host and port in --from"},
        {"database.dbname", "the database in --from"},
        {"database.user", "the role in --from"},
        {"database.password", "the password in --from"},
        {"connection.url", "--to"},
    };
    struct buf out = {0};
    const char *p = err->hint;
    size_t i;

    while (*p != '\0') {
        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (strncmp(p, names[i][0], strlen(names[i][0])) == 0)
                break;
        }
        if (i < sizeof(names) / sizeof(names[0])) {
            buf_puts(&out, names[i][1]);
            p += strlen(names[i][0]);
        } else {
            buf_u8(&out, (uint8_t)*p++);
        }
    }
    error_hint(err, "%s", buf_cstr(&out));
    buf_free(&out);
}

/* Says what is wrong with one side. True: nothing. */
static bool check_side(const struct config_connector *c, char *identity, size_t size)
{
    struct error err = {0};

    if (c->source != NULL ? check_source(c, identity, size, &err)
                          : check_warehouse_side(c, identity, size, &err))
        return true;
    name_urls(&err);
    cli_fail(&err, CLI_FAILED);
    return false;
}

bool sync_check(const struct config_file *cfg)
{
    char from[256] = "", to[256] = "";
    bool ok = true;
    int i;

    for (i = 0; i < cfg->nconnectors; i++) {
        const struct config_connector *c = &cfg->connectors[i];

        ok = check_side(c, c->source != NULL ? from : to, sizeof(from)) && ok;
    }
    if (ok && strcmp(from, to) == 0) {
        struct error err = {0};

        error_cause(&err, CAUSE_SAME_DATABASE, "--from and --to are the same database");
        cli_fail(&err, CLI_FAILED);
        ok = false;
    }
    return ok;
}

void sync_check_other(const struct config_urls *u)
{
    struct config_urls with_from = {.from = u->from, .to = "duckdb:unused"};
    struct config_urls with_to = {.from = "postgres:///unused", .to = u->to};
    struct config_file *cfg = NULL;
    struct error ignored;
    char identity[256];
    bool source = config_file_from_urls(&with_from, &cfg, &ignored);
    int i;

    if (!source && !config_file_from_urls(&with_to, &cfg, &ignored))
        return;
    for (i = 0; i < cfg->nconnectors; i++) {
        if ((cfg->connectors[i].source != NULL) == source)
            check_side(&cfg->connectors[i], identity, sizeof(identity));
    }
    config_file_free(cfg);
}
