/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded registry in one SQLite file (WAL mode, synchronous=FULL: an id that was handed out
 * must never come back with another text). One connection under one mutex; registrations are rare
 * and the encoder caches ids.
 *
 * Two texts are the same when they differ only in white space: the SHA-256 of the compact JSON, in
 * the text's own order, is what is compared; the text is kept as it came. Ids are 1..2^31-1 (Java
 * readers have signed ones), grow, and are shared between subjects. A seeded id may give one text
 * two ids: then a registration answers the one that its subject knows, else the lowest.
 */
#include "avro/registry.h"

#include "util/causes.h"
#include "util/mem.h"

#include <jansson.h>
#include <limits.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_VERSION = 1 };

struct registry {
    pthread_mutex_t lock;
    sqlite3 *db;
    char *path;
};

/* A schema text with what it is compared by. */
struct schema_text {
    const char *text;
    unsigned char hash[SHA256_DIGEST_LENGTH];
};

static const char *const schema_sql =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE format(version INTEGER NOT NULL);"
    "CREATE TABLE schemas(id INTEGER PRIMARY KEY, hash BLOB NOT NULL, text TEXT NOT NULL);"
    "CREATE INDEX schemas_hash ON schemas(hash);"
    "CREATE TABLE versions(subject TEXT NOT NULL, version INTEGER NOT NULL,"
    " id INTEGER NOT NULL REFERENCES schemas(id), PRIMARY KEY(subject, version),"
    " UNIQUE(subject, id));"
    /* subject '': the global mode */
    "CREATE TABLE modes(subject TEXT PRIMARY KEY, mode TEXT NOT NULL);"
    "INSERT INTO format VALUES(1);"
    "COMMIT";

static bool fail_sql(struct registry *r, const char *what, struct error *err)
{
    int code = sqlite3_extended_errcode(r->db) & 0xff;
    enum cause cause = code == SQLITE_BUSY || code == SQLITE_LOCKED      ? CAUSE_REGISTRY_BUSY
                       : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? CAUSE_REGISTRY_BROKEN
                                                                         : CAUSE_REGISTRY_UNUSABLE;

    error_cause(err, cause, "schema registry %s: %s: %s", r->path, what, sqlite3_errmsg(r->db));
    return error_fill(err, "file", r->path);
}

static bool exec_sql(struct registry *r, const char *sql, const char *what, struct error *err)
{
    return sqlite3_exec(r->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail_sql(r, what, err);
}

/* Runs st to its end or first row. *row: there is one. */
static bool step(struct registry *r, sqlite3_stmt *st, bool *row, struct error *err)
{
    int rc = st ? sqlite3_step(st) : SQLITE_ERROR;

    *row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE || fail_sql(r, "statement", err);
}

/* NULL if it cannot be prepared: step() then reports it. */
static sqlite3_stmt *prepare(struct registry *r, const char *sql)
{
    sqlite3_stmt *st = NULL;

    sqlite3_prepare_v2(r->db, sql, -1, &st, NULL);
    return st;
}

static void bind_text(sqlite3_stmt *st, int i, const char *s)
{
    sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
}

static bool check_format(struct registry *r, struct error *err)
{
    sqlite3_stmt *st;
    bool row, ok;
    int version;

    st = prepare(r, "SELECT 1 FROM sqlite_master WHERE name = 'format'");
    ok = step(r, st, &row, err);
    sqlite3_finalize(st);
    if (!ok)
        return false;
    if (!row)
        return exec_sql(r, schema_sql, "cannot be set up", err);
    st = prepare(r, "SELECT version FROM format");
    ok = step(r, st, &row, err);
    version = ok && row ? sqlite3_column_int(st, 0) : 0;
    sqlite3_finalize(st);
    if (ok && version != FORMAT_VERSION) {
        error_cause(err, CAUSE_REGISTRY_NEWER,
                    "schema registry %s has format %d, this program knows %d", r->path, version,
                    FORMAT_VERSION);
        return false;
    }
    return ok;
}

bool registry_open(struct registry **out, const char *path, struct error *err)
{
    struct registry *r = mem_calloc(1, sizeof(*r));

    pthread_mutex_init(&r->lock, NULL);
    r->path = mem_strdup(path);
    if (sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
        SQLITE_OK) {
        fail_sql(r, "cannot be opened", err);
        goto fail;
    }
    sqlite3_busy_timeout(r->db, 5000);
    if (!exec_sql(r, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", "cannot be opened", err) ||
        !check_format(r, err))
        goto fail;
    *out = r;
    return true;
fail:
    registry_close(r);
    return false;
}

void registry_close(struct registry *r)
{
    if (r == NULL)
        return;
    sqlite3_close(r->db);
    pthread_mutex_destroy(&r->lock);
    mem_free(r->path);
    mem_free(r);
}

/* Validates and hashes. */
static bool text_make(struct schema_text *t, const char *schema, struct error *err)
{
    char *compact;
    json_t *j;

    if (!avro_validate(schema, err))
        return false;
    j = json_loads(schema, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    compact = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(j);
    if (compact == NULL)
        return error_set(err, ERROR_DATA, "invalid Avro schema: not JSON");
    t->text = schema;
    SHA256((const unsigned char *)compact, strlen(compact), t->hash);
    free(compact);
    return true;
}

/* The id by which the subject knows the text (*in_subject), else the lowest of all; 0: none. */
static bool find_id(struct registry *r, const char *subject, const struct schema_text *t,
                    uint32_t *id, bool *in_subject, struct error *err)
{
    sqlite3_stmt *st =
        prepare(r, "SELECT s.id, v.id IS NOT NULL FROM schemas s LEFT JOIN versions v"
                   " ON v.id = s.id AND v.subject = ?1 WHERE s.hash = ?2"
                   " ORDER BY 2 DESC, 1 LIMIT 1");
    bool row, ok;

    bind_text(st, 1, subject);
    sqlite3_bind_blob(st, 2, t->hash, sizeof(t->hash), SQLITE_STATIC);
    ok = step(r, st, &row, err);
    *id = ok && row ? (uint32_t)sqlite3_column_int64(st, 0) : 0;
    *in_subject = ok && row && sqlite3_column_int(st, 1);
    sqlite3_finalize(st);
    return ok;
}

/* The subject's mode, else the global one, else BACKWARD. */
static bool mode_of(struct registry *r, const char *subject, enum compat_mode *mode,
                    struct error *err)
{
    sqlite3_stmt *st =
        prepare(r, "SELECT mode FROM modes WHERE subject IN (?1, '') ORDER BY subject DESC");
    bool row, ok;

    bind_text(st, 1, subject);
    *mode = COMPAT_BACKWARD;
    ok = step(r, st, &row, err);
    if (ok && row && !compat_mode_parse((const char *)sqlite3_column_text(st, 0), mode))
        ok = error_set(err, ERROR_FATAL, "schema registry %s: unknown compatibility mode", r->path);
    sqlite3_finalize(st);
    return ok;
}

static bool pair_ok(enum compat_mode mode, const char *new_text, const char *old_text,
                    struct error *err)
{
    bool forward = mode == COMPAT_FORWARD || mode == COMPAT_FORWARD_TRANSITIVE;
    bool full = mode == COMPAT_FULL || mode == COMPAT_FULL_TRANSITIVE;

    if (!forward && !avro_can_read(new_text, old_text, err)) {
        error_prefix(err, "data of the old schema could not be read with the new one");
        return false;
    }
    if ((forward || full) && !avro_can_read(old_text, new_text, err)) {
        error_prefix(err, "data of the new schema could not be read with the old one");
        return false;
    }
    return true;
}

static bool check_compatible(struct registry *r, const char *subject, const char *text,
                             struct error *err)
{
    enum compat_mode mode;
    sqlite3_stmt *st;
    bool row, ok, all;

    if (!mode_of(r, subject, &mode, err))
        return false;
    if (mode == COMPAT_NONE)
        return true;
    all = mode == COMPAT_BACKWARD_TRANSITIVE || mode == COMPAT_FORWARD_TRANSITIVE ||
          mode == COMPAT_FULL_TRANSITIVE;
    st = prepare(r, "SELECT v.version, s.text FROM versions v JOIN schemas s ON s.id = v.id"
                    " WHERE v.subject = ?1 ORDER BY v.version DESC");
    bind_text(st, 1, subject);
    while ((ok = step(r, st, &row, err)) && row) {
        if (!pair_ok(mode, text, (const char *)sqlite3_column_text(st, 1), err)) {
            error_prefix(err, "subject %s: not %s compatible with version %d", subject,
                         compat_mode_name(mode), sqlite3_column_int(st, 0));
            ok = error_because(err, CAUSE_SCHEMA_REFUSED);
            break;
        }
        if (!all)
            break;
    }
    sqlite3_finalize(st);
    return ok;
}

/* id 0: the next one, which is put into *id. */
static bool insert_schema(struct registry *r, const struct schema_text *t, uint32_t *id,
                          struct error *err)
{
    sqlite3_stmt *st;
    bool row, ok;

    if (*id == 0) {
        st = prepare(r, "SELECT coalesce(max(id), 0) FROM schemas");
        ok = step(r, st, &row, err);
        if (ok && sqlite3_column_int64(st, 0) >= INT_MAX)
            ok = error_set(err, ERROR_DATA, "schema registry %s: no schema ids are left", r->path);
        *id = ok ? (uint32_t)sqlite3_column_int64(st, 0) + 1 : 0;
        sqlite3_finalize(st);
        if (!ok)
            return false;
    }
    st = prepare(r, "INSERT INTO schemas(id, hash, text) VALUES(?1, ?2, ?3)");
    sqlite3_bind_int64(st, 1, *id);
    sqlite3_bind_blob(st, 2, t->hash, sizeof(t->hash), SQLITE_STATIC);
    bind_text(st, 3, t->text);
    ok = step(r, st, &row, err);
    sqlite3_finalize(st);
    return ok;
}

static bool insert_version(struct registry *r, const char *subject, uint32_t id, struct error *err)
{
    sqlite3_stmt *st = prepare(r, "INSERT INTO versions(subject, version, id) SELECT ?1,"
                                  " coalesce(max(version), 0) + 1, ?2 FROM versions"
                                  " WHERE subject = ?1");
    bool row, ok;

    bind_text(st, 1, subject);
    sqlite3_bind_int64(st, 2, id);
    ok = step(r, st, &row, err);
    sqlite3_finalize(st);
    return ok;
}

/* Inside a transaction, under the lock. */
static bool register_in(struct registry *r, const char *subject, const struct schema_text *t,
                        uint32_t *id, struct error *err)
{
    bool in_subject;

    if (!find_id(r, subject, t, id, &in_subject, err))
        return false;
    if (in_subject)
        return true;
    if (!check_compatible(r, subject, t->text, err))
        return false;
    return (*id != 0 || insert_schema(r, t, id, err)) && insert_version(r, subject, *id, err);
}

static bool seed_in(struct registry *r, const char *subject, const struct schema_text *t,
                    uint32_t id, struct error *err)
{
    sqlite3_stmt *st =
        prepare(r, "SELECT s.hash = ?2, EXISTS(SELECT 1 FROM versions v WHERE"
                   " v.subject = ?3 AND v.id = s.id) FROM schemas s WHERE s.id = ?1");
    bool row, ok, same = false, known = false;

    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_blob(st, 2, t->hash, sizeof(t->hash), SQLITE_STATIC);
    bind_text(st, 3, subject);
    ok = step(r, st, &row, err);
    if (ok && row) {
        same = sqlite3_column_int(st, 0);
        known = sqlite3_column_int(st, 1);
    }
    sqlite3_finalize(st);
    if (!ok)
        return false;
    if (row && !same) {
        error_cause(err, CAUSE_REGISTRY_CONFLICT,
                    "schema registry %s: id %u of subject %s is taken by another schema", r->path,
                    (unsigned)id, subject);
        return error_fill(err, "file", r->path);
    }
    if (known)
        return true;
    return (row || insert_schema(r, t, &id, err)) && insert_version(r, subject, id, err);
}

/* Ends the transaction as ok says and releases the lock. */
static bool finish(struct registry *r, bool ok, struct error *err)
{
    if (ok)
        ok = exec_sql(r, "COMMIT", "cannot be written", err);
    if (!ok)
        sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&r->lock);
    return ok;
}

bool registry_register(struct registry *r, const char *subject, const char *schema, uint32_t *id,
                       struct error *err)
{
    struct schema_text t;
    uint32_t found = 0;
    bool ok;

    if (subject[0] == '\0')
        return error_set(err, ERROR_DATA, "schema registry: a subject without a name");
    if (!text_make(&t, schema, err)) {
        error_prefix(err, "subject %s", subject);
        return false;
    }
    pthread_mutex_lock(&r->lock);
    ok = exec_sql(r, "BEGIN IMMEDIATE", "cannot be written", err) &&
         register_in(r, subject, &t, &found, err);
    ok = finish(r, ok, err);
    if (ok)
        *id = found;
    return ok;
}

bool registry_seed(struct registry *r, const char *subject, const char *schema, uint32_t id,
                   struct error *err)
{
    struct schema_text t;
    bool ok;

    if (subject[0] == '\0' || id == 0 || id > INT_MAX)
        return error_set(err, ERROR_DATA, "schema registry: subject '%s' with id %u", subject,
                         (unsigned)id);
    if (!text_make(&t, schema, err)) {
        error_prefix(err, "subject %s, id %u", subject, (unsigned)id);
        return false;
    }
    pthread_mutex_lock(&r->lock);
    ok = exec_sql(r, "BEGIN IMMEDIATE", "cannot be written", err) &&
         seed_in(r, subject, &t, id, err);
    return finish(r, ok, err);
}

bool registry_schema(struct registry *r, struct arena *a, uint32_t id, char **schema,
                     struct error *err)
{
    sqlite3_stmt *st;
    bool row, ok;

    pthread_mutex_lock(&r->lock);
    st = prepare(r, "SELECT text FROM schemas WHERE id = ?1");
    sqlite3_bind_int64(st, 1, id);
    ok = step(r, st, &row, err);
    if (ok && row)
        *schema = arena_strdup(a, (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    pthread_mutex_unlock(&r->lock);
    if (ok && !row)
        return error_set(err, ERROR_DATA, "schema registry %s: no schema has id %u", r->path,
                         (unsigned)id);
    return ok;
}

bool registry_set_mode(struct registry *r, const char *subject, enum compat_mode mode,
                       struct error *err)
{
    sqlite3_stmt *st;
    bool row, ok;

    pthread_mutex_lock(&r->lock);
    st = prepare(r, "INSERT INTO modes(subject, mode) VALUES(?1, ?2)"
                    " ON CONFLICT(subject) DO UPDATE SET mode = excluded.mode");
    bind_text(st, 1, subject ? subject : "");
    bind_text(st, 2, compat_mode_name(mode));
    ok = step(r, st, &row, err);
    sqlite3_finalize(st);
    pthread_mutex_unlock(&r->lock);
    return ok;
}
