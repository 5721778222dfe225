/* SPDX-License-Identifier: Apache-2.0 */
/* The source is asked once more: its slot keeps the log from here on, and only it knows how much.
 */
#include "cli/progress_text.h"
#include "cli/sync_internal.h"
#include "source.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where the password of a URL with an authority stands, from its colon on; 0: there is none. */
static size_t authority_password(const char *url, const char **at)
{
    const char *start = strstr(url, "://"), *end, *host = NULL, *p;

    if (start == NULL)
        return 0;
    start += 3;
    end = start + strcspn(start, "/?");
    for (p = start; p < end; p++)
        host = *p == '@' ? p : host;
    *at = host != NULL ? memchr(start, ':', (size_t)(host - start)) : NULL;
    return *at != NULL ? (size_t)(host - *at) : 0;
}

/* And that of ?password=..&, with the sign before it or behind it. */
static size_t parameter_password(const char *url, const char **at)
{
    const char *p = strchr(url, '?');
    size_t n;

    for (; p != NULL; p = strchr(p + 1, '&')) {
        if (strncmp(p + 1, "password=", 9) != 0)
            continue;
        n = strcspn(p + 1, "&");
        *at = *p == '?' && p[1 + n] == '&' ? p + 1 : p;
        return n + 1;
    }
    return 0;
}

static void put_quoted(struct buf *out, const char *s)
{
    const char *p = s;

    while (isalnum((unsigned char)*p) || (*p != '\0' && strchr("-_./:@%+=,", *p) != NULL))
        p++;
    if (*p == '\0') {
        buf_puts(out, s);
        return;
    }
    buf_u8(out, '\'');
    for (p = s; *p != '\0'; p++) {
        if (*p == '\'')
            buf_puts(out, "'\\''");
        else
            buf_u8(out, (uint8_t)*p);
    }
    buf_u8(out, '\'');
}

bool sync_put_url(struct buf *out, const char *url)
{
    size_t (*const find[])(const char *, const char **) = {authority_password, parameter_password};
    struct buf text = {0}, rest = {0};
    bool had = false;
    size_t i;

    buf_puts(&text, url);
    for (i = 0; i < 2; i++) {
        const char *s = buf_cstr(&text), *at = NULL;
        size_t n = find[i](s, &at);

        if (n == 0)
            continue;
        buf_append(&rest, s, (size_t)(at - s));
        buf_puts(&rest, at + n);
        buf_free(&text);
        text = rest;
        memset(&rest, 0, sizeof(rest));
        had = true;
    }
    put_quoted(out, buf_cstr(&text));
    buf_free(&text);
    return had;
}

static void put_command(struct buf *out, const char *what, const struct config_urls *u)
{
    buf_printf(out, "penstock %s --from ", what);
    sync_put_url(out, u->from);
    buf_puts(out, " --to ");
    sync_put_url(out, u->to);
}

/* True if something remains there, or may. */
static bool put_source(struct buf *out, const struct config_connector *c)
{
    const char *slot = config_string(c->config, "slot.name");
    char prepared[POSITION_SIZE] = "", kept[40];
    struct source_identity id;
    struct source *s = NULL;
    struct mark m = {0};
    struct error err = {0};
    bool ours = true;
    bool asked = c->source->open(&s, c->config, &err) && c->source->connect(s, &id, &err) &&
                 c->source->mark_read(s, &m, &err) && c->source->prepared(s, prepared, &ours, &err);

    c->source->close(s);
    if (!asked)
        buf_printf(out,
                   "  at the source     replication slot and publication %s, if they were made (it "
                   "cannot be asked: %s)\n",
                   slot, err.message);
    else if (m.state != MARK_MISSING)
        buf_printf(out,
                   "  at the source     replication slot %s, which retains %s of log, and all "
                   "that is written from now on\n",
                   slot, progress_bytes(m.retained_bytes, kept, sizeof(kept)));
    if (prepared[0] != '\0')
        buf_printf(out, "  at the source     publication %s%s\n", prepared,
                   ours ? "" : ", which another role owns");
    return !asked || m.state != MARK_MISSING || prepared[0] != '\0';
}

static void put_by_hand(struct buf *out, const struct config_connector *c)
{
    struct buf sql = {0};

    buf_puts(&sql, "SELECT pg_drop_replication_slot(");
    buf_sql_string(&sql, config_string(c->config, "slot.name"));
    buf_puts(&sql, "); DROP PUBLICATION ");
    buf_sql_ident(&sql, config_string(c->config, "publication.name"));
    buf_printf(out, "or, at the source by hand:\n  %s;\n", buf_cstr(&sql));
    buf_free(&sql);
}

static void put_all(struct buf *out, const struct config_connector *c, const char *dir,
                    const struct config_urls *u)
{
    struct buf ignored = {0};
    bool secret;

    buf_puts(out, "  in the warehouse  the tables, and the position in schema penstock\n");
    buf_printf(out, "  here              %s\nto go on, run the same command again:\n  ", dir);
    put_command(out, "sync", u);
    if (u->tables != NULL) {
        buf_puts(out, " --tables ");
        put_quoted(out, u->tables);
    }
    buf_puts(out, "\nto take it away (the tables stay, unless --tables is added):\n  ");
    put_command(out, "remove", u);
    buf_puts(out, " && rm -r ");
    put_quoted(out, dir);
    buf_u8(out, '\n');
    secret = sync_put_url(&ignored, u->from);
    secret = sync_put_url(&ignored, u->to) || secret;
    buf_free(&ignored);
    if (secret)
        buf_puts(out, "  (passwords are not shown: give the URLs as before)\n");
    put_by_hand(out, c);
}

void sync_say_what_remains(const struct config_file *cfg, const struct config_urls *u, bool said)
{
    const char *dir = config_string(cfg->service, "data.dir");
    struct buf out = {0};
    int i;

    buf_puts(&out, "penstock: what remains:\n");
    for (i = 0; i < cfg->nconnectors; i++) {
        const struct config_connector *c = &cfg->connectors[i];

        if (c->source == NULL)
            continue;
        if (put_source(&out, c)) {
            put_all(&out, c, dir, u);
        } else {
            buf_reset(&out);
            buf_puts(&out, said ? "penstock: nothing remains at the source\n" : "");
        }
    }
    fputs(buf_cstr(&out), stderr);
    buf_free(&out);
}
