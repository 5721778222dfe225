/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From facts to findings: the server, the role, what stands in between, limits and transactions
 * that a slot would wait for. Pure; what differs on a managed service is in managed.c.
 */
#include "source_postgres/check_facts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SUBJECT "source"
#define LONG_SECONDS 5 /* an open transaction older than that is worth a word */

char *check_size(int64_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double n = (double)bytes;
    int u = 0;

    for (; n >= 1000 && u < 4; u++)
        n /= 1024;
    snprintf(out, size, u == 0 || n >= 100 ? "%.0f %s" : "%.1f %s", n, units[u]);
    return out;
}

/* --- the server and the role --- */

static void judge_version(const struct pg_facts *f, struct findings *out)
{
    if (f->version < CHECK_MIN_VERSION)
        findings_add(out, FINDING_STOPS, SUBJECT, "upgrade the server to PostgreSQL 14 or later",
                     "%s is older than PostgreSQL 14", f->version_text);
}

static void judge_standby(const struct pg_facts *f, struct findings *out)
{
    if (f->standby)
        findings_add(out, FINDING_STOPS, SUBJECT, "set database.hostname to the primary",
                     "the server is a standby, where no publication can be made%s",
                     f->version >= 160000 ? "; PostgreSQL 16 and later decode on one, Penstock "
                                            "reads from the primary"
                                          : "; before PostgreSQL 16 it cannot decode its log");
}

static void judge_wal_level(const struct pg_facts *f, struct findings *out)
{
    if (strcmp(f->wal_level, "logical") == 0 || f->standby)
        return;
    findings_add(out, FINDING_STOPS, SUBJECT, NULL, "wal_level is %s, not logical", f->wal_level);
    managed_fix_setting(f->managed, "wal_level", "logical", true, out);
}

static void judge_encoding(const struct pg_facts *f, struct findings *out)
{
    if (strcmp(f->encoding, "SQL_ASCII") == 0)
        findings_add(out, FINDING_STOPS, SUBJECT,
                     "move the data into a database with ENCODING 'UTF8' (pg_dump --encoding, "
                     "createdb -E UTF8 -T template0)",
                     "database %s has the encoding SQL_ASCII: its text may be in any encoding, so "
                     "that it cannot be turned into UTF-8 without guessing",
                     f->database);
}

static void judge_replication(const struct pg_facts *f, struct findings *out)
{
    struct buf role = {0};

    if (f->may_replicate)
        return;
    buf_sql_ident(&role, f->user);
    findings_add(out, FINDING_STOPS, SUBJECT, NULL, "role %s may not replicate", f->user);
    managed_fix_replication(f->managed, buf_cstr(&role), out);
    buf_free(&role);
}

void check_judge_server(const struct pg_facts *f, struct findings *out)
{
    judge_version(f, out);
    judge_standby(f, out);
    judge_wal_level(f, out);
    judge_encoding(f, out);
    judge_replication(f, out);
}

void check_judge_pooler(const struct check_facts *f, struct findings *out)
{
    if (f->options_lost)
        findings_add(out, FINDING_STOPS, SUBJECT, NULL,
                     "a pooler stands between this host and the server: the session's settings do "
                     "not reach the server, so that values would be read in another form, and "
                     "replication does not pass it");
    else if (f->other_backend)
        findings_add(out, FINDING_STOPS, SUBJECT, NULL,
                     "a pooler stands between this host and the server (it answers for another "
                     "server process than ours): replication and snapshots need a session of "
                     "their own");
    else
        return;
    managed_fix_pooler(f->server.managed, out);
}

/* --- limits --- */

static void fix_count(const struct check_facts *f, const char *name, int64_t now,
                      struct findings *out)
{
    char value[32];

    snprintf(value, sizeof(value), "%lld", (long long)now + 4);
    managed_fix_setting(f->server.managed, name, value, true, out);
}

static void judge_slots(const struct check_facts *f, struct findings *out)
{
    int64_t left = f->slots - f->slots_used;

    if (!f->slot_exists && left < 1)
        findings_add(out, FINDING_STOPS, SUBJECT, NULL,
                     "all of the server's max_replication_slots = %lld are in use",
                     (long long)f->slots);
    else if (left < (f->slot_exists ? 1 : 2))
        findings_add(out, FINDING_WARNING, SUBJECT, NULL,
                     "of max_replication_slots = %lld none is left for adding or loading a table "
                     "again, which takes one for a moment",
                     (long long)f->slots);
    else
        return;
    fix_count(f, "max_replication_slots", f->slots, out);
}

static void judge_senders(const struct check_facts *f, struct findings *out)
{
    int64_t left = f->senders - f->senders_used;

    if (left >= 2)
        return;
    findings_add(out, left < 1 ? FINDING_STOPS : FINDING_WARNING, SUBJECT, NULL,
                 "too few of the server's max_wal_senders = %lld are free (2 are needed at a "
                 "start, 1 while running)",
                 (long long)f->senders);
    fix_count(f, "max_wal_senders", f->senders, out);
}

static void judge_sender_timeout(const struct check_facts *f, struct findings *out)
{
    if (f->wal_sender_timeout_ms == 0)
        findings_add(out, FINDING_WARNING, SUBJECT, NULL,
                     "wal_sender_timeout is 0: when this host is lost the slot stays in use, and "
                     "no other penstock can go on, until TCP gives the connection up");
    else if (f->wal_sender_timeout_ms > 0 && f->wal_sender_timeout_ms < 5000)
        findings_add(out, FINDING_WARNING, SUBJECT, NULL,
                     "wal_sender_timeout is %lld ms: a short pause of this host or the network "
                     "ends the stream, which then connects again",
                     (long long)f->wal_sender_timeout_ms);
    else
        return;
    managed_fix_setting(f->server.managed, "wal_sender_timeout", "'60s'", false, out);
}

/* Twice the load's log, at least 10 GB, in whole GB. */
static void keep_value(int64_t load_log, char *out, size_t size)
{
    int64_t gb = load_log > 0 ? (load_log * 2 >> 30) + 1 : 0;

    snprintf(out, size, "'%lldGB'", (long long)(gb < 10 ? 10 : gb));
}

static void judge_keep(const struct check_facts *f, struct findings *out)
{
    char keep[32], log[32], value[32];

    keep_value(f->load_log_bytes, value, sizeof(value));
    if (f->slot_keep_bytes < 0) {
        findings_add(out, FINDING_NOTE, SUBJECT, NULL,
                     "max_slot_wal_keep_size is not set: while the service or the warehouse is "
                     "down, the server keeps log without a limit, until its disk is full; with a "
                     "limit the tables must be loaded again once it is passed");
        managed_fix_setting(f->server.managed, "max_slot_wal_keep_size", value, false, out);
        return;
    }
    check_size(f->slot_keep_bytes, keep, sizeof(keep));
    if (f->load_log_bytes > f->slot_keep_bytes / 2) {
        findings_add(out, FINDING_WARNING, SUBJECT, NULL,
                     "the first load may take longer than the server keeps log: about %s are "
                     "written meanwhile, max_slot_wal_keep_size is %s; past it the load is lost",
                     check_size(f->load_log_bytes, log, sizeof(log)), keep);
        managed_fix_setting(f->server.managed, "max_slot_wal_keep_size", value, false, out);
        return;
    }
    findings_add(out, FINDING_NOTE, SUBJECT, NULL,
                 "the server keeps at most %s of log for the slot (max_slot_wal_keep_size); after "
                 "a longer stop the tables must be loaded again",
                 keep);
}

static void judge_idle(const struct check_facts *f, struct findings *out)
{
    if (f->idle_slot_seconds <= 0)
        return;
    findings_add(out, FINDING_WARNING, SUBJECT, NULL,
                 "idle_replication_slot_timeout is %lld s: after a longer stop of the service the "
                 "slot is gone and all tables must be loaded again",
                 (long long)f->idle_slot_seconds);
    managed_fix_setting(f->server.managed, "idle_replication_slot_timeout", "0", false, out);
}

static void judge_decoding_memory(const struct check_facts *f, struct findings *out)
{
    char size[32];

    if (f->decoding_bytes <= 0 || f->decoding_bytes >= 64 << 20)
        return;
    findings_add(out, FINDING_NOTE, SUBJECT, NULL,
                 "logical_decoding_work_mem is %s: larger transactions go through files of the "
                 "server while they are decoded",
                 check_size(f->decoding_bytes, size, sizeof(size)));
    managed_fix_setting(f->server.managed, "logical_decoding_work_mem", "'64MB'", false, out);
}

/* --- transactions that are open --- */

static void fix_wait(const struct check_facts *f, const struct check_wait *w, struct findings *out)
{
    struct buf name = {0};

    if (w->pid != 0) {
        findings_fix(out, "end that transaction; if nobody needs it, its user or a superuser can "
                          "run");
        findings_sql(out, "SELECT pg_terminate_backend(%d)", w->pid);
        return;
    }
    buf_sql_string(&name, w->gid);
    findings_fix(out, "whoever prepared it must end it, in database %s, by COMMIT PREPARED or",
                 w->database[0] != '\0' ? w->database : f->server.database);
    findings_sql(out, "ROLLBACK PREPARED %s", buf_cstr(&name));
    buf_free(&name);
}

static void judge_wait(const struct check_facts *f, const struct check_wait *w,
                       struct findings *out)
{
    char who[400], age[64];

    if (w->seconds >= 0 && w->seconds < LONG_SECONDS)
        return;
    if (w->seconds >= 0)
        snprintf(age, sizeof(age), "for %lld s", (long long)w->seconds);
    else
        snprintf(age, sizeof(age), "for longer than this look");
    if (w->pid != 0)
        snprintf(who, sizeof(who), "pid %d (user %s, application \"%s\"%s%s)", w->pid, w->user,
                 w->application, w->state[0] != '\0' ? ", " : "", w->state);
    else
        snprintf(who, sizeof(who), "the prepared transaction \"%s\" (user %s)", w->gid, w->user);
    findings_add(out, FINDING_WARNING, SUBJECT, NULL,
                 "%s has written and is open %s: a new slot, and so the first load, waits for its "
                 "end%s%s",
                 who, age, w->query[0] != '\0' ? "; its last statement: " : "", w->query);
    fix_wait(f, w, out);
}

void check_judge_limits(const struct check_facts *f, struct findings *out)
{
    int i;

    judge_slots(f, out);
    judge_senders(f, out);
    judge_sender_timeout(f, out);
    judge_keep(f, out);
    judge_idle(f, out);
    judge_decoding_memory(f, out);
    if (strcmp(f->server.encoding, "UTF8") != 0 && strcmp(f->server.encoding, "SQL_ASCII") != 0)
        findings_add(out, FINDING_NOTE, SUBJECT, NULL,
                     "database %s has the encoding %s: the server turns its text into UTF-8",
                     f->server.database, f->server.encoding);
    for (i = 0; i < f->nwaits; i++)
        judge_wait(f, &f->waits[i], out);
    managed_notes(f->server.managed, out);
}

/* --- the text of a query, without what may be a row's value --- */

struct masking {
    const char *in;
    char *out;
    size_t n, size;
    bool cut;
};

static void emit(struct masking *m, char c)
{
    if (c == ' ' && (m->n == 0 || m->out[m->n - 1] == ' '))
        return;
    m->cut |= m->n + 1 >= m->size;
    if (!m->cut)
        m->out[m->n++] = c;
}

/* Past a quoted piece whose opening quote stands at p; doubled quotes belong to it. */
static const char *past_quote(const char *p, bool backslash)
{
    char quote = *p++;

    for (; *p != '\0'; p++) {
        if (backslash && *p == '\\' && p[1] != '\0') {
            p++;
        } else if (*p == quote) {
            if (p[1] != quote)
                return p + 1;
            p++;
        }
    }
    return p;
}

/* $tag$ ... $tag$; NULL if no such piece begins at p. */
static const char *past_dollar(const char *p)
{
    size_t n = 1;
    const char *end;
    char tag[70];

    while (isalnum((unsigned char)p[n]) || p[n] == '_')
        n++;
    if (p[n] != '$' || isdigit((unsigned char)p[1]) || n + 2 > sizeof(tag))
        return NULL;
    snprintf(tag, sizeof(tag), "%.*s", (int)n + 1, p);
    end = strstr(p + n + 1, tag);
    return end != NULL ? end + n + 1 : p + strlen(p);
}

static const char *past_comment(const char *p)
{
    const char *end = p[1] == '-' ? strchr(p, '\n') : strstr(p + 2, "*/");

    if (end == NULL)
        return p + strlen(p);
    return p[1] == '-' ? end + 1 : end + 2;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* One piece of the text; returns what follows it. */
static const char *mask_piece(struct masking *m, const char *p)
{
    bool e = p > m->in && (p[-1] == 'e' || p[-1] == 'E');
    const char *dollar = *p == '$' ? past_dollar(p) : NULL;

    if (*p == '\'' || dollar != NULL) {
        emit(m, '?');
        return dollar != NULL ? dollar : past_quote(p, e);
    }
    if ((p[0] == '-' && p[1] == '-') || (p[0] == '/' && p[1] == '*')) {
        emit(m, ' ');
        return past_comment(p);
    }
    if (isdigit((unsigned char)*p)) {
        emit(m, '?');
        while (is_word(*p) || *p == '.')
            p++;
        return p;
    }
    if (*p == '"' || is_word(*p)) {
        const char *end = *p == '"' ? past_quote(p, false) : p;

        while (end == p || (*p != '"' && is_word(*end)))
            end++;
        for (; p < end; p++)
            emit(m, *p);
        return end;
    }
    emit(m, isspace((unsigned char)*p) ? ' ' : *p);
    return p + 1;
}

void check_mask_query(const char *sql, char *out, size_t size)
{
    struct masking m = {.in = sql, .out = out, .size = size};
    const char *p = sql;

    while (*p != '\0' && !m.cut)
        p = mask_piece(&m, p);
    if (m.cut) { /* a character that may have been cut */
        while (m.n > 0 && ((unsigned char)out[m.n - 1] & 0xc0) == 0x80)
            m.n--;
        if (m.n > 0 && (unsigned char)out[m.n - 1] >= 0xc0)
            m.n--;
    }
    while (m.n > 0 && out[m.n - 1] == ' ')
        m.n--;
    out[m.n] = '\0';
}
