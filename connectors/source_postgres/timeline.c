/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TIMELINE_HISTORY and its answer (PostgreSQL manual, "Streaming Replication Protocol"; the file's
 * format: src/backend/access/transam/timeline.c). A position is safe to resume from on another
 * timeline iff the log up to it is the same on both.
 *
 * A recovery that is told to follow a timeline, and to end before that timeline begins, leaves a
 * history whose positions go back: what counts for a timeline is the least position of its own
 * line and all that follow.
 */
#include "source_postgres/timeline.h"

#include <stdio.h>
#include <string.h>

struct cursor {
    const char *p, *end;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct cursor *c)
{
    while (c->p < c->end && is_blank(*c->p))
        c->p++;
}

/* What is left of text up to the next newline, which is passed over. */
static struct cursor take_line(struct cursor *text)
{
    struct cursor line = {text->p, memchr(text->p, '\n', (size_t)(text->end - text->p))};

    if (line.end == NULL)
        line.end = text->end;
    text->p = line.end < text->end ? line.end + 1 : text->end;
    return line;
}

/* Digits, followed by a blank. */
static bool take_timeline(struct cursor *c, uint32_t *tli)
{
    const char *from = c->p;
    uint64_t v = 0;

    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9' && v <= UINT32_MAX; c->p++)
        v = v * 10 + (uint64_t)(*c->p - '0');
    *tli = (uint32_t)v;
    return c->p > from && v > 0 && v <= UINT32_MAX && c->p < c->end && is_blank(*c->p);
}

/* An LSN, followed by a blank or the end of the line. */
static bool take_lsn(struct cursor *c, uint64_t *lsn)
{
    char text[PG_LSN_SIZE];
    const char *from = c->p;
    size_t n;

    while (c->p < c->end && !is_blank(*c->p))
        c->p++;
    n = (size_t)(c->p - from);
    if (n >= sizeof(text))
        return false;
    memcpy(text, from, n);
    text[n] = '\0';
    return strspn(text, "0123456789abcdefABCDEF/") == n && pg_lsn_parse(text, lsn);
}

static bool take_entry(struct cursor *line, uint32_t *tli, uint64_t *lsn)
{
    if (!take_timeline(line, tli))
        return false;
    skip_blanks(line);
    return take_lsn(line, lsn);
}

bool timeline_history(const char *text, size_t len, uint32_t current, uint32_t was,
                      struct timeline_past *out, struct error *err)
{
    struct cursor all = {text, text + len};
    uint32_t last = 0;
    int number;

    memset(out, 0, sizeof(*out));
    for (number = 1; all.p < all.end; number++) {
        struct cursor line = take_line(&all);
        uint32_t tli;
        uint64_t lsn;

        skip_blanks(&line);
        if (line.p == line.end || *line.p == '#')
            continue;
        if (!take_entry(&line, &tli, &lsn))
            return error_set(err, ERROR_FATAL,
                             "history of timeline %u, line %d: not a timeline and a position",
                             current, number);
        if (tli <= last || tli >= current)
            return error_set(err, ERROR_FATAL,
                             "history of timeline %u, line %d: timeline %u is out of order",
                             current, number, tli);
        last = tli;
        if (tli < was)
            out->began = lsn;
        if (tli == was || (out->found && lsn < out->left))
            out->left = lsn;
        out->found |= tli == was;
    }
    return true;
}

/* *res stays NULL if the server has no such history; why says so. */
static bool fetch(struct pg_conn *w, uint32_t current, PGresult **res, char *why, size_t size,
                  struct error *err)
{
    struct error failed;
    char sql[48];

    *res = NULL;
    snprintf(sql, sizeof(sql), "TIMELINE_HISTORY %u", current);
    if (pg_query(w, "reading the timeline's history", sql, res, &failed))
        return (PQntuples(*res) == 1 && PQnfields(*res) == 2) ||
               error_set(err, ERROR_FATAL, "reading the timeline's history: unexpected answer");
    if (strcmp(failed.sqlstate, "58P01") == 0) {
        snprintf(why, size, "the server has no history of timeline %u (%s)", current,
                 failed.message);
        return true;
    }
    if (err != NULL)
        *err = failed;
    return false;
}

static bool parse(const PGresult *res, uint32_t current, uint32_t was, struct timeline_past *out,
                  struct error *err)
{
    return timeline_history(PQgetvalue(res, 0, 1), (size_t)PQgetlength(res, 0, 1), current, was,
                            out, err);
}

bool timeline_identify(struct pg_conn *w, struct pg_facts *f, struct error *err)
{
    struct timeline_past past = {0};
    PGresult *res = NULL;
    struct error broken;
    char why[300];
    bool ok = pg_query(w, "identifying the server", "IDENTIFY_SYSTEM", &res, err);

    if (ok && PQntuples(res) != 1)
        ok = error_set(err, ERROR_RETRY, "identifying the server: no answer");
    if (ok) {
        snprintf(f->system, sizeof(f->system), "%s", PQgetvalue(res, 0, 0));
        f->timeline = (uint32_t)pg_int(res, 0, 1);
        f->timeline_began = 0;
    }
    PQclear(res);
    if (!ok || f->timeline <= 1)
        return ok;
    ok = fetch(w, f->timeline, &res, why, sizeof(why), err);
    /* A history that cannot be read matters only to a checkpoint that has to be held against it. */
    if (ok && res != NULL && parse(res, f->timeline, f->timeline, &past, &broken))
        f->timeline_began = past.began;
    PQclear(res);
    return ok;
}

/* Why the log is not known to be that of `was` up to position; "": it is. */
static void judge(const struct timeline_past *past, const struct source_identity *was,
                  uint32_t current, uint64_t position, char *why, size_t size)
{
    char at[PG_LSN_SIZE];
    uint64_t began;

    why[0] = '\0';
    if (!past->found && was->timeline != current)
        snprintf(why, size, "timeline %u is not in the history of timeline %u", was->timeline,
                 current);
    else if (pg_lsn_parse(was->timeline_began, &began) && began != past->began)
        snprintf(why, size,
                 "timeline %u began at %s here, at %s there: two servers were promoted to that "
                 "number",
                 was->timeline, pg_lsn_text(past->began, at, sizeof(at)), was->timeline_began);
    else if (past->found && position > past->left)
        snprintf(why, size, "timeline %u was left at %s, before that", was->timeline,
                 pg_lsn_text(past->left, at, sizeof(at)));
}

bool timeline_follows(struct source *s, const struct source_identity *was, const char *position,
                      bool *follows, char *why, size_t size, struct error *err)
{
    uint32_t current = s->facts.timeline;
    struct timeline_past past;
    struct pg_conn *c = NULL;
    PGresult *res = NULL;
    uint64_t lsn;
    bool ok;

    *follows = false;
    if (!pg_lsn_parse(position, &lsn) || lsn == 0)
        return error_set(err, ERROR_FATAL, "the checkpoint's position \"%s\" is not an LSN",
                         position);
    ok = pg_conn_open(&c, &s->target, "timeline", true, err) &&
         fetch(c, current, &res, why, size, err);
    pg_conn_close(c);
    if (ok && res != NULL) {
        ok = parse(res, current, was->timeline, &past, err) ||
             error_hint(err,
                        "mend %08X.history in the server's pg_wal, or set snapshot.mode to "
                        "when_needed and restart: all tables are loaded again",
                        current);
        if (ok)
            judge(&past, was, current, lsn, why, size);
        *follows = ok && why[0] == '\0';
    }
    PQclear(res);
    return ok;
}

bool timeline_same(const struct source *s, struct pg_conn *w, struct error *err)
{
    struct pg_facts f;

    if (!timeline_identify(w, &f, err))
        return false;
    return (strcmp(f.system, s->facts.system) == 0 && f.timeline == s->facts.timeline &&
            f.timeline_began == s->facts.timeline_began) ||
           error_set(err, ERROR_RETRY,
                     "the server at this address was exchanged or promoted while the stream was "
                     "opened");
}
