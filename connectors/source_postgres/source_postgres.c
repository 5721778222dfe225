/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Postgres source connector: PostgreSQL 14 and later by logical replication with pgoutput.
 * Position: an LSN as text, the end of a commit. CSN: the LSN of the commit record. Mark: the
 * replication slot. Point: the consistent point of a slot.
 *
 * This file holds the settings, the control connection and what the server must be.
 */
#include "source_postgres/source_postgres.h"

#include "common/pg_error.h"
#include "source_postgres/check.h"
#include "source_postgres/heartbeat.h"
#include "source_postgres/point.h"
#include "source_postgres/publication.h"
#include "source_postgres/slot.h"
#include "source_postgres/source_block.h"
#include "source_postgres/stream.h"
#include "source_postgres/timeline.h"
#include "source_postgres/watch.h"
#include "util/log.h"
#include "util/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct setting settings[] = {
    {.name = "database.hostname",
     .type = SETTING_STRING,
     .def = "127.0.0.1",
     .doc = "The server's host. A directory: its unix socket, nearly twice as fast."},
    {.name = "database.port",
     .type = SETTING_INT,
     .def = "5432",
     .min = 1,
     .max = 65535,
     .doc = "The server's port; with a unix socket, part of its name."},
    {.name = "database.user",
     .type = SETTING_STRING,
     .doc = "Role with LOGIN, REPLICATION and SELECT on the tables. Default: libpq's."},
    {.name = "database.password", .type = SETTING_PASSWORD, .doc = "The role's password."},
    {.name = "database.dbname",
     .type = SETTING_STRING,
     .required = true,
     .doc = "The database to replicate."},
    {.name = "database.sslmode",
     .type = SETTING_ENUM,
     .choices = "disable,allow,prefer,require,verify-ca,verify-full",
     .doc = "As libpq's sslmode. Default: prefer."},
    {.name = "database.sslrootcert",
     .type = SETTING_STRING,
     .doc = "File with the certificates that may have signed the server's; `verify-ca` and "
            "`verify-full` need it. Default: libpq's."},
    {.name = "database.sslcert",
     .type = SETTING_STRING,
     .doc = "File with our own certificate, where the server asks for one."},
    {.name = "database.sslkey",
     .type = SETTING_STRING,
     .doc = "File with our certificate's private key, readable by its owner only."},
    {.name = "database.sslpassword",
     .type = SETTING_PASSWORD,
     .doc = "What the private key is encrypted with, where it is."},
    {.name = "slot.name",
     .type = SETTING_STRING,
     .doc = "The replication slot: lower-case letters, digits and _, 63 bytes at most. Default: "
            "penstock_PREFIX."},
    {.name = "publication.name",
     .type = SETTING_STRING,
     .doc = "The publication. Default: penstock_PREFIX, lower case, other characters as _."},
    {.name = "publication.autocreate.mode",
     .type = SETTING_ENUM,
     .def = "filtered",
     .choices = "filtered,disabled,all_tables",
     .doc = "filtered: makes the publication and adds the selected tables to it. all_tables: makes "
            "it FOR ALL TABLES. disabled: it must be there."},
    {.name = "snapshot.chunk.pages",
     .type = SETTING_INT,
     .def = "2048",
     .min = 1,
     .max = 1048576,
     .doc = "Heap pages (of 8 kB) that one short transaction of a snapshot reads."},
    {.name = "heartbeat.action.query",
     .type = SETTING_STRING,
     .doc = "SQL that is run at the source every heartbeat.interval.ms while it is followed, for "
            "instance UPDATE monitor.beat SET at = now(): on a quiet database a replicated table "
            "of your own then shows how fresh the copy is. It must be quick (10 s), leave no "
            "transaction open and name tables with their schema."},
    {.name = NULL},
};

bool pg_lsn_parse(const char *text, uint64_t *out)
{
    unsigned long high, low;
    char *end;

    *out = 0;
    if (text == NULL || !isxdigit((unsigned char)text[0]))
        return false;
    high = strtoul(text, &end, 16);
    if (*end != '/' || end - text > 8 || !isxdigit((unsigned char)end[1]))
        return false;
    text = end + 1;
    low = strtoul(text, &end, 16);
    if (*end != '\0' || end - text > 8)
        return false;
    *out = (uint64_t)high << 32 | low;
    return true;
}

char *pg_lsn_text(uint64_t lsn, char *out, size_t size)
{
    snprintf(out, size, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
    return out;
}

static int position_compare(const char *a, const char *b)
{
    uint64_t x, y;

    pg_lsn_parse(a, &x); /* a malformed one reads as 0, the lowest */
    pg_lsn_parse(b, &y);
    return x < y ? -1 : x > y;
}

static int64_t position_csn(const char *position)
{
    uint64_t lsn;

    pg_lsn_parse(position, &lsn);
    return (int64_t)lsn;
}

bool pg_selects(const struct source *s, const char *schema, const char *name, bool *yes,
                struct error *err)
{
    char text[2 * PG_NAME_SIZE + 2];

    *yes = false;
    if (strncmp(schema, "pg_", 3) == 0 || strcmp(schema, "information_schema") == 0 ||
        strcmp(schema, "penstock") == 0)
        return true;
    snprintf(text, sizeof(text), "%s.%s", schema, name);
    return config_selects(s->cfg, "table.include.list", "table.exclude.list", text, yes, err);
}

/* penstock_PREFIX in the characters of a slot's name. */
static void default_name(const char *prefix, char out[PG_NAME_SIZE])
{
    size_t i;

    snprintf(out, PG_NAME_SIZE, "penstock_%s", prefix);
    for (i = 0; out[i] != '\0'; i++) {
        unsigned char c = (unsigned char)out[i];

        if (c >= 'A' && c <= 'Z')
            out[i] = (char)(c - 'A' + 'a');
        else if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
            out[i] = '_';
    }
}

static bool take_name(const struct config *cfg, const char *setting, const char *fallback,
                      char out[PG_NAME_SIZE], struct error *err)
{
    const char *name = config_string(cfg, setting);

    if (name == NULL || name[0] == '\0')
        name = fallback;
    if (strlen(name) >= PG_NAME_SIZE)
        return error_set(err, ERROR_CONFIG, "%s: longer than 63 bytes", setting);
    snprintf(out, PG_NAME_SIZE, "%s", name);
    return true;
}

static bool take_settings(struct source *s, struct error *err)
{
    const struct config *cfg = s->cfg;
    struct pg_settings *set = &s->settings;
    const char *mode = config_string(cfg, "publication.autocreate.mode");
    char fallback[PG_NAME_SIZE];

    set->prefix = config_string(cfg, "topic.prefix");
    if (set->prefix == NULL || config_string(cfg, "database.dbname") == NULL)
        return error_set(err, ERROR_CONFIG, "topic.prefix and database.dbname must be set");
    default_name(set->prefix, fallback);
    if (!take_name(cfg, "slot.name", fallback, set->slot, err) ||
        !take_name(cfg, "publication.name", fallback, set->publication, err))
        return false;
    if (strspn(set->slot, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(set->slot)) {
        error_set(err, ERROR_CONFIG, "slot.name: only lower-case letters, digits and _");
        return false;
    }
    set->mode = mode == NULL || strcmp(mode, "filtered") == 0 ? PUBLICATION_FILTERED
                : strcmp(mode, "disabled") == 0               ? PUBLICATION_DISABLED
                                                              : PUBLICATION_ALL_TABLES;
    set->chunk_pages = config_int(cfg, "snapshot.chunk.pages");
    if (set->chunk_pages <= 0)
        set->chunk_pages = 2048;
    set->key_chunk_bytes = config_int(cfg, "snapshot.key.chunk.bytes");
    if (set->key_chunk_bytes <= 0)
        set->key_chunk_bytes = INT64_MAX;
    set->wait_notice_ms = 10000;
    s->target.host = config_string(cfg, "database.hostname");
    s->target.port = (int)config_int(cfg, "database.port");
    s->target.user = config_string(cfg, "database.user");
    s->target.password = config_string(cfg, "database.password");
    s->target.dbname = config_string(cfg, "database.dbname");
    s->target.tls.mode = config_string(cfg, "database.sslmode");
    s->target.tls.rootcert = config_string(cfg, "database.sslrootcert");
    s->target.tls.cert = config_string(cfg, "database.sslcert");
    s->target.tls.key = config_string(cfg, "database.sslkey");
    s->target.tls.password = config_string(cfg, "database.sslpassword");
    s->target.name = config_name(cfg);
    s->target.cancel = &s->cancel;
    return true;
}

static void source_close(struct source *s)
{
    if (s == NULL)
        return;
    stream_stop(s);
    watch_free(s->watch);
    heartbeat_free(s->heartbeat);
    pg_conn_close(s->control);
    pg_cancel_close(&s->cancel);
    pg_cancel_close(&s->wake);
    mem_free(s);
}

static bool source_open(struct source **out, const struct config *cfg, struct error *err)
{
    struct source *s = mem_calloc(1, sizeof(*s));

    s->cfg = cfg;
    pg_cancel_init(&s->cancel);
    pg_cancel_init(&s->wake);
    s->watch = watch_new(s);
    s->heartbeat = heartbeat_new(s);
    if (!take_settings(s, err)) {
        source_close(s);
        return false;
    }
    *out = s;
    return true;
}

static void source_cancel(struct source *s)
{
    pg_cancel_set(&s->cancel);
}

/* Columns of the query below. */
enum {
    F_VERSION,
    F_VERSION_TEXT,
    F_WAL_LEVEL,
    F_STANDBY,
    F_OID,
    F_DATABASE,
    F_ENCODING,
    F_USER,
    F_SUPER,
    F_REPLICATION,
    F_BYPASS,
    F_CREATE,
    F_SIGNS
};

/* rds_replication: managed servers hand the right to replicate out by membership. */
static const char facts_sql[] =
    "SELECT current_setting('server_version_num'), current_setting('server_version'), "
    "current_setting('wal_level'), pg_catalog.pg_is_in_recovery(), d.oid, d.datname, "
    "pg_catalog.pg_encoding_to_char(d.encoding), r.rolname, r.rolsuper, r.rolreplication OR "
    "EXISTS (SELECT FROM pg_catalog.pg_roles m WHERE m.rolname IN ('rds_replication', "
    "'cloudsqlreplica') AND pg_catalog.pg_has_role(r.oid, m.oid, 'MEMBER')), r.rolbypassrls, "
    "pg_catalog.has_database_privilege(d.oid, 'CREATE'), ";

static const char facts_from[] = " FROM pg_catalog.pg_database d, pg_catalog.pg_roles r WHERE "
                                 "d.datname = current_database() AND r.rolname = current_user";

static bool read_facts(struct pg_conn *c, struct pg_facts *f, struct error *err)
{
    struct buf sql = {0};
    PGresult *res;
    bool ok;

    memset(f, 0, sizeof(*f));
    buf_puts(&sql, facts_sql);
    buf_puts(&sql, managed_signs_sql);
    buf_puts(&sql, facts_from);
    ok = pg_query(c, "asking what the server is", buf_cstr(&sql), &res, err);
    buf_free(&sql);
    if (!ok)
        return false;
    if (PQntuples(res) != 1) {
        PQclear(res);
        return error_set(err, ERROR_RETRY, "asking what the server is: no answer");
    }
    f->version = (int)pg_int(res, 0, F_VERSION);
    snprintf(f->version_text, sizeof(f->version_text), "PostgreSQL %s",
             PQgetvalue(res, 0, F_VERSION_TEXT));
    snprintf(f->wal_level, sizeof(f->wal_level), "%s", PQgetvalue(res, 0, F_WAL_LEVEL));
    f->standby = pg_bool(res, 0, F_STANDBY);
    f->database_oid = (uint32_t)pg_int(res, 0, F_OID);
    snprintf(f->database, sizeof(f->database), "%s", PQgetvalue(res, 0, F_DATABASE));
    snprintf(f->encoding, sizeof(f->encoding), "%s", PQgetvalue(res, 0, F_ENCODING));
    snprintf(f->user, sizeof(f->user), "%s", PQgetvalue(res, 0, F_USER));
    f->superuser = pg_bool(res, 0, F_SUPER);
    f->may_replicate = f->superuser || pg_bool(res, 0, F_REPLICATION);
    f->bypass_rls = f->superuser || pg_bool(res, 0, F_BYPASS);
    f->may_create = pg_bool(res, 0, F_CREATE);
    f->managed = managed_detect(PQgetvalue(res, 0, F_SIGNS));
    PQclear(res);
    return true;
}

bool pg_control(struct source *s, struct pg_conn **out, struct error *err)
{
    struct pg_facts f;

    *out = s->control;
    if (pg_conn_alive(s->control))
        return true;
    pg_conn_close(s->control);
    s->control = NULL;
    if (!pg_conn_open(&s->control, &s->target, "control", false, err))
        return false;
    if (!read_facts(s->control, &f, err)) {
        pg_conn_close(s->control);
        s->control = NULL;
        return false;
    }
    if (s->has_facts && (f.database_oid != s->facts.database_oid || f.version != s->facts.version ||
                         f.standby != s->facts.standby)) {
        pg_conn_close(s->control);
        s->control = NULL;
        s->has_facts = false;
        return error_cause(err, CAUSE_SERVER_CHANGED, "another server answers at this address now");
    }
    memcpy(f.system, s->facts.system, sizeof(f.system));
    f.timeline = s->facts.timeline;
    f.timeline_began = s->facts.timeline_began;
    s->facts = f;
    s->has_facts = true;
    *out = s->control;
    return true;
}

bool pg_identify(struct source *s, struct pg_facts *f, struct error *err)
{
    struct pg_conn *c = NULL;
    bool ok = pg_conn_open(&c, &s->target, "identify", true, err) && timeline_identify(c, f, err);

    pg_conn_close(c);
    return ok;
}

static bool source_connect(struct source *s, struct source_identity *id, struct error *err)
{
    struct pg_conn *c;

    stream_stop(s);
    pg_conn_close(s->control); /* the facts are those of now */
    s->control = NULL;
    s->has_facts = false;
    if (!pg_control(s, &c, err) || !check_server(s, err) || !pg_identify(s, &s->facts, err))
        return false;
    memset(id, 0, sizeof(*id));
    snprintf(id->system, sizeof(id->system), "%s", s->facts.system);
    id->timeline = s->facts.timeline;
    if (s->facts.timeline_began != 0)
        pg_lsn_text(s->facts.timeline_began, id->timeline_began, sizeof(id->timeline_began));
    snprintf(id->database, sizeof(id->database), "%s", s->facts.database);
    id->database_oid = s->facts.database_oid;
    snprintf(id->mark, sizeof(id->mark), "%s", s->settings.slot);
    snprintf(id->version, sizeof(id->version), "%s", s->facts.version_text);
    return true;
}

static bool error_note(size_t i, struct error_note *out)
{
    return pg_state_note(PG_SOURCE, i, out);
}

const struct source_ops source_postgres_ops = {
    .name = "postgres",
    .aliases = (const char *const[]){"postgresql",
                                     "io.debezium.connector.postgresql.PostgresConnector", NULL},
    .envelope_connector = "postgresql",
    .settings = settings,
    .open = source_open,
    .close = source_close,
    .cancel = source_cancel,
    .check = check_source,
    .plan = check_plan,
    .connect = source_connect,
    .prepare = publication_prepare,
    .mark_read = slot_mark_read,
    .mark_drop = slot_mark_drop,
    .prepared = publication_made,
    .unprepare = publication_drop,
    .timeline_follows = timeline_follows,
    .point_open = point_open,
    .point_close = point_close,
    .point_tables = point_tables,
    .point_cut = snapshot_point_cut,
    .reader_open = snapshot_reader_open,
    .reader_chunk = snapshot_reader_chunk,
    .reader_keys = snapshot_reader_keys,
    .reader_close = snapshot_reader_close,
    .stream_start = stream_start,
    .stream_table = stream_table,
    .stream_poll = stream_poll,
    .stream_tick = stream_tick,
    .stream_csn = stream_csn,
    .stream_stop = stream_stop,
    .acknowledge = stream_acknowledge,
    .position_compare = position_compare,
    .position_csn = position_csn,
    .lag_bytes = stream_lag_bytes,
    .block = &source_postgres_block,
    .error_note = error_note,
};
