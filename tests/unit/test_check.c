/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `check` says: facts in, texts out, for a server of one's own and for each managed service,
 * compared with tests/golden/check/NAME.txt; with PENSTOCK_GOLDEN_UPDATE=1 the files are written
 * instead. The services themselves were not there: their texts follow their documents.
 */
#include "source_postgres/check_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GOLDEN "tests/golden/check"
#define GB (INT64_C(1) << 30)

/* --- golden texts --- */

static void print(const struct findings *found, struct buf *out)
{
    const struct finding *f;
    size_t i;

    for (f = found->first; f != NULL; f = f->next) {
        buf_printf(out, "%s: %s: %s\n", finding_severity_name(f->severity), f->subject, f->message);
        if (f->fix != NULL)
            buf_printf(out, "    %s\n", f->fix);
        for (i = 0; i < f->sql.len; i++) {
            if (i == 0 || f->sql.data[i - 1] == '\n')
                buf_puts(out, "    | ");
            buf_u8(out, f->sql.data[i]);
        }
        buf_puts(out, f->sql.len > 0 ? "\n" : "");
    }
}

static void assert_golden(const char *name, struct buf *text)
{
    char path[200], *want;
    FILE *f;
    long size;

    snprintf(path, sizeof(path), GOLDEN "/%s.txt", name);
    if (getenv("PENSTOCK_GOLDEN_UPDATE") != NULL) {
        f = fopen(path, "w");
        assert_non_null(f);
        fputs(buf_cstr(text), f);
        fclose(f);
        return;
    }
    f = fopen(path, "r");
    if (f == NULL)
        fail_msg("%s: not there; PENSTOCK_GOLDEN_UPDATE=1 writes it", path);
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    want = calloc(1, (size_t)size + 1);
    assert_int_equal(fread(want, 1, (size_t)size, f), size);
    fclose(f);
    assert_string_equal(buf_cstr(text), want);
    free(want);
}

/* As check does: what stands between, the server, the limits. */
static void judge(const char *name, const struct check_facts *f)
{
    struct findings found = {0};
    struct buf text = {0};

    check_judge_pooler(f, &found);
    check_judge_server(&f->server, &found);
    check_judge_limits(f, &found);
    print(&found, &text);
    assert_golden(name, &text);
    findings_free(&found);
    buf_free(&text);
}

static struct check_facts good(enum managed m)
{
    struct check_facts f = {
        .server = {.version = 170004,
                   .version_text = "PostgreSQL 17.4",
                   .wal_level = "logical",
                   .database = "shop",
                   .encoding = "UTF8",
                   .user = "pen\"stock",
                   .may_replicate = true,
                   .managed = m},
        .slots = 10,
        .slots_used = 2,
        .senders = 10,
        .senders_used = 2,
        .wal_sender_timeout_ms = 60000,
        .slot_keep_bytes = 50 * GB,
        .idle_slot_seconds = -1,
        .decoding_bytes = 64 << 20,
        .slot = "penstock_shop",
        .load_seconds = 60,
        .load_log_bytes = 1 * GB,
    };

    return f;
}

/* Everything that can be wrong at once. */
static struct check_facts bad(enum managed m)
{
    struct check_facts f = good(m);

    f.options_lost = true;
    strcpy(f.server.wal_level, "replica");
    strcpy(f.server.encoding, "LATIN1");
    f.server.may_replicate = false;
    f.slots_used = f.slots;
    f.senders_used = 9;
    f.wal_sender_timeout_ms = 0;
    f.slot_keep_bytes = 1 * GB;
    f.load_log_bytes = 8 * GB;
    f.idle_slot_seconds = 3600;
    f.decoding_bytes = 4 << 20;
    f.nwaits = 2;
    f.waits[0] = (struct check_wait){.pid = 4711,
                                     .user = "app",
                                     .application = "psql",
                                     .state = "idle in transaction",
                                     .seconds = 7200,
                                     .query = "UPDATE t SET v = ?"};
    f.waits[1] =
        (struct check_wait){.gid = "it's", .user = "app", .database = "shop", .seconds = 86400};
    return f;
}

static void services(void **state)
{
    static const struct {
        enum managed m;
        const char *name;
    } cases[] = {{MANAGED_NONE, "own"},          {MANAGED_RDS, "rds"},
                 {MANAGED_AURORA, "aurora"},     {MANAGED_CLOUDSQL, "cloudsql"},
                 {MANAGED_SUPABASE, "supabase"}, {MANAGED_NEON, "neon"},
                 {MANAGED_AZURE, "azure"}};
    char name[64];
    size_t i;

    (void)state;
    assert_int_equal(sizeof(cases) / sizeof(cases[0]), MANAGED_COUNT);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct check_facts f = bad(cases[i].m);

        snprintf(name, sizeof(name), "%s_bad", cases[i].name);
        judge(name, &f);
        f = good(cases[i].m);
        snprintf(name, sizeof(name), "%s_good", cases[i].name);
        judge(name, &f);
    }
}

static void servers(void **state)
{
    struct check_facts f = good(MANAGED_NONE);

    (void)state;
    f.server.version = 130012;
    strcpy(f.server.version_text, "PostgreSQL 13.12");
    strcpy(f.server.encoding, "SQL_ASCII");
    judge("old", &f);
    f = good(MANAGED_NONE);
    f.server.standby = true;
    strcpy(f.server.wal_level, "replica"); /* the primary's counts */
    judge("standby", &f);
    f.server.version = 150000;
    judge("standby_15", &f);
    f = good(MANAGED_NONE);
    f.other_backend = true;
    f.wal_sender_timeout_ms = 1000;
    f.slots_used = 9;
    f.slot_keep_bytes = -1;
    f.load_log_bytes = 300 * GB;
    judge("narrow", &f);
    f.slot_exists = true; /* it is among those in use */
    f.slots_used = 10;
    f.senders_used = 10;
    f.load_log_bytes = -1;
    f.other_backend = false;
    f.nwaits = 2;
    f.waits[0] = (struct check_wait){.pid = 1, .user = "app", .seconds = 4}; /* too young */
    f.waits[1] = (struct check_wait){.pid = 2, .user = "app", .seconds = -1};
    judge("slot_exists", &f);
}

static void row_security(void **state)
{
    struct findings found = {0};
    struct buf text = {0};
    enum managed m;

    (void)state;
    for (m = MANAGED_NONE; m < MANAGED_COUNT; m++) {
        findings_add(&found, FINDING_STOPS, managed_name(m), NULL, "rows are hidden");
        managed_fix_row_security(m, "\"r\"", &found);
    }
    print(&found, &text);
    assert_golden("row_security", &text);
    findings_free(&found);
    buf_free(&text);
}

/* --- which service it is --- */

static void signs(void **state)
{
    (void)state;
    assert_int_equal(managed_detect(","), MANAGED_NONE);
    assert_int_equal(managed_detect(",rds,rds_superuser,"), MANAGED_RDS);
    assert_int_equal(managed_detect(",rds_superuser,"), MANAGED_RDS);
    assert_int_equal(managed_detect(",rds,aurora,rds_superuser,"), MANAGED_AURORA);
    assert_int_equal(managed_detect(",cloudsql,cloudsqlsuperuser,"), MANAGED_CLOUDSQL);
    assert_int_equal(managed_detect(",cloudsqlsuperuser,"), MANAGED_CLOUDSQL);
    assert_int_equal(managed_detect(",azure,azure_pg_admin,"), MANAGED_AZURE);
    assert_int_equal(managed_detect(",neon,neon_superuser,"), MANAGED_NEON);
    assert_int_equal(managed_detect(",neon_superuser,"), MANAGED_NEON);
    assert_int_equal(managed_detect(",supabase_admin,"), MANAGED_SUPABASE);
    assert_int_equal(managed_detect(",rds,supabase_admin,"), MANAGED_RDS);
    assert_int_equal(managed_detect(",not_rds,rdsx,"), MANAGED_NONE);
}

/* --- queries without values --- */

static void expect_masked(const char *sql, const char *want)
{
    char out[100];

    check_mask_query(sql, out, sizeof(out));
    assert_string_equal(out, want);
}

static void masks(void **state)
{
    char small[8];

    (void)state;
    expect_masked("", "");
    expect_masked("UPDATE t SET v = 'a secret', n = 42.5e3 WHERE id IN (1, 2)",
                  "UPDATE t SET v = ?, n = ? WHERE id IN (?, ?)");
    expect_masked("SELECT\n\t'it''s' ,  \"Col 1\", c2", "SELECT ? , \"Col 1\", c2");
    expect_masked("SELECT E'a\\'b', 'c\\', d", "SELECT E?, ?, d");
    expect_masked("SELECT $$ it's $$, $t$ $$ x $t$, $1 FROM t", "SELECT ?, ?, $? FROM t");
    expect_masked("SELECT 1 -- of 'Smith'\n, 2 /* '3' */ + 4", "SELECT ? , ? + ?");
    expect_masked("INSERT INTO t VALUES ('cut off in the mid", "INSERT INTO t VALUES (?");
    expect_masked("SELECT $$ cut off", "SELECT ?");
    expect_masked("SELECT /* cut off", "SELECT");
    expect_masked("SELECT 0x1F, 1_000, -5 FROM t1", "SELECT ?, ?, -? FROM t1");
    check_mask_query("SELECT a FROM t", small, sizeof(small));
    assert_string_equal(small, "SELECT");
    check_mask_query("SELEC\xc3\xa9t", small, sizeof(small)); /* not half a character */
    assert_string_equal(small, "SELEC");
}

/* --- hints of errors become words and statements --- */

static void expect_split(const char *hint, const char *words, const char *sql)
{
    struct findings found = {0};
    struct error e = {0};

    error_set(&e, ERROR_CONFIG, "m");
    error_hint(&e, "%s", hint);
    findings_add_error(&found, "source", &e);
    if (words == NULL)
        assert_null(found.first->fix);
    else
        assert_string_equal(found.first->fix, words);
    assert_string_equal(buf_cstr(&found.first->sql), sql);
    assert_int_equal(found.stops, 1);
    findings_free(&found);
}

static void hints(void **state)
{
    (void)state;
    expect_split("", NULL, "");
    expect_split("set database.hostname", "set database.hostname", "");
    expect_split("its owner must run: GRANT SELECT ON \"a;b\" TO \"r\";", "its owner must run",
                 "GRANT SELECT ON \"a;b\" TO \"r\"");
    expect_split("run: ALTER PUBLICATION p SET (publish = 'insert; x'); or set x", "run, or set x",
                 "ALTER PUBLICATION p SET (publish = 'insert; x')");
    expect_split("then run: penstock resync", "then run: penstock resync", "");
}

static void sorted(void **state)
{
    struct findings found = {0};
    struct buf fix = {0};

    (void)state;
    findings_add(&found, FINDING_NOTE, "1", NULL, "m");
    findings_add(&found, FINDING_STOPS, "2", "do", "m");
    findings_sql(&found, "A");
    findings_sql(&found, "B %d", 1);
    findings_add(&found, FINDING_WARNING, "3", NULL, "m");
    findings_add(&found, FINDING_STOPS, "4", NULL, "m");
    findings_sort(&found);
    assert_string_equal(found.first->subject, "2");
    assert_string_equal(found.first->next->subject, "4");
    assert_string_equal(found.first->next->next->subject, "3");
    assert_string_equal(found.first->next->next->next->subject, "1");
    assert_null(found.first->next->next->next->next);
    finding_fix(found.first, &fix);
    assert_string_equal(buf_cstr(&fix), "do: A; B 1");
    findings_add(&found, FINDING_NOTE, "5", NULL, "m");
    assert_string_equal(found.first->next->next->next->next->subject, "5");
    findings_free(&found);
    buf_free(&fix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services), cmocka_unit_test(servers), cmocka_unit_test(row_security),
        cmocka_unit_test(signs),    cmocka_unit_test(masks),   cmocka_unit_test(hints),
        cmocka_unit_test(sorted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
