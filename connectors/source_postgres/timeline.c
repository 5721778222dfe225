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

bool timeline_history(const char *text, size_t len, uint32_t current, uint32_t was, bool *found,
                      uint64_t *left, struct error *err)
{
    struct cursor all = {text, text + len};
    uint32_t last = 0;
    int number;

    *found = false;
    *left = 0;
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
        if (tli == was || (*found && lsn < *left))
            *left = lsn;
        *found |= tli == was;
    }
    return true;
}

/* *res stays NULL if the server has no such history; why says so. */
static bool fetch(struct source *s, PGresult **res, char *why, size_t size, struct error *err)
{
    uint32_t current = s->facts.timeline;
    struct pg_conn *c = NULL;
    struct error failed;
    char sql[48];
    bool ok;

    *res = NULL;
    snprintf(sql, sizeof(sql), "TIMELINE_HISTORY %u", current);
    if (!pg_conn_open(&c, &s->target, "timeline", true, err))
        return false;
    ok = pg_query(c, "reading the timeline's history", sql, res, &failed);
    pg_conn_close(c);
    if (ok)
        return true;
    if (strcmp(failed.sqlstate, "58P01") == 0) {
        snprintf(why, size, "the server has no history of timeline %u (%s)", current,
                 failed.message);
        return true;
    }
    if (err != NULL)
        *err = failed;
    return false;
}

static bool judge(const struct source *s, const PGresult *res, uint32_t was, uint64_t position,
                  bool *follows, char *why, size_t size, struct error *err)
{
    uint32_t current = s->facts.timeline;
    char at[PG_LSN_SIZE];
    uint64_t left;
    bool found;

    if (PQntuples(res) != 1 || PQnfields(res) != 2)
        return error_set(err, ERROR_FATAL, "reading the timeline's history: unexpected answer");
    if (!timeline_history(PQgetvalue(res, 0, 1), (size_t)PQgetlength(res, 0, 1), current, was,
                          &found, &left, err))
        return error_hint(err,
                          "mend %08X.history in the server's pg_wal, or set snapshot.mode to "
                          "when_needed and restart: all tables are loaded again",
                          current);
    *follows = found && position <= left;
    if (!found)
        snprintf(why, size, "timeline %u is not in the history of timeline %u", was, current);
    else if (!*follows)
        snprintf(why, size, "timeline %u was left at %s, before that", was,
                 pg_lsn_text(left, at, sizeof(at)));
    return true;
}

bool timeline_follows(struct source *s, const struct source_identity *was, const char *position,
                      bool *follows, char *why, size_t size, struct error *err)
{
    PGresult *res;
    uint64_t lsn;
    bool ok;

    *follows = false;
    if (!pg_lsn_parse(position, &lsn) || lsn == 0)
        return error_set(err, ERROR_FATAL, "the checkpoint's position \"%s\" is not an LSN",
                         position);
    if (!fetch(s, &res, why, size, err))
        return false;
    ok = res == NULL || judge(s, res, was->timeline, lsn, follows, why, size, err);
    PQclear(res);
    return ok;
}

bool timeline_same(const struct source *s, struct pg_conn *w, struct error *err)
{
    PGresult *res;
    bool same;

    if (!pg_query(w, "identifying the server", "IDENTIFY_SYSTEM", &res, err))
        return false;
    same = PQntuples(res) == 1 && strcmp(PQgetvalue(res, 0, 0), s->facts.system) == 0 &&
           pg_int(res, 0, 1) == s->facts.timeline;
    PQclear(res);
    return same || error_set(err, ERROR_RETRY,
                             "the server at this address was exchanged or promoted while the "
                             "stream was opened");
}
