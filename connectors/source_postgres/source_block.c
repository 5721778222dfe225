/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field order, names and properties as Debezium 3's PostgreSQL connector gives them to Confluent's
 * Avro converter. Written once per event, so numbers in text are made by hand.
 */
#include "source_postgres/source_block.h"

#include "avro/codec.h"

#include <string.h>

/* clang-format off */
#define REQUIRED(name, type) "{\"name\":\"" name "\",\"type\":\"" type "\"},"
#define OPTIONAL(name, type) \
    "{\"name\":\"" name "\",\"type\":[\"null\",\"" type "\"],\"default\":null}"

static const char schema[] =
    "{\"type\":\"record\",\"name\":\"Source\",\"namespace\":\"io.debezium.connector.postgresql\","
    "\"fields\":["
    REQUIRED("version", "string")
    REQUIRED("connector", "string")
    REQUIRED("name", "string")
    REQUIRED("ts_ms", "long")
    "{\"name\":\"snapshot\",\"type\":[{\"type\":\"string\",\"connect.version\":1,"
        "\"connect.parameters\":{\"allowed\":"
        "\"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental\"},"
        "\"connect.default\":\"false\",\"connect.name\":\"io.debezium.data.Enum\"},\"null\"],"
        "\"default\":\"false\"},"
    REQUIRED("db", "string")
    OPTIONAL("sequence", "string") ","
    OPTIONAL("ts_us", "long") ","
    OPTIONAL("ts_ns", "long") ","
    REQUIRED("schema", "string")
    REQUIRED("table", "string")
    OPTIONAL("txId", "long") ","
    OPTIONAL("lsn", "long") ","
    OPTIONAL("xmin", "long")
    "],\"connect.version\":1,\"connect.name\":\"io.debezium.connector.postgresql.Source\"}";
/* clang-format on */

/* Union branches of ["null", T] and of snapshot's [T, "null"]. */
#define BRANCH_NULL 0
#define BRANCH_VALUE 1
#define BRANCH_SNAPSHOT 0

#define SEQUENCE_SIZE 64 /* two numbers of 20 digits, quotes and brackets */

static void put_text(struct buf *out, const char *s)
{
    avro_put_string(out, s != NULL ? s : "", s != NULL ? strlen(s) : 0);
}

static void put_optional_long(struct buf *out, bool present, int64_t v)
{
    avro_put_long(out, present ? BRANCH_VALUE : BRANCH_NULL);
    if (present)
        avro_put_long(out, v);
}

static char *put_quoted(char *p, uint64_t v)
{
    char digits[20];
    int n = 0;

    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    *p++ = '"';
    while (n > 0)
        *p++ = digits[--n];
    *p++ = '"';
    return p;
}

/* ["<last commit lsn>","<lsn>"]; the first is null before the first commit. */
static void put_sequence(struct buf *out, const struct event_meta *meta)
{
    char text[SEQUENCE_SIZE];
    char *p = text;

    if (meta->lsn == 0) {
        avro_put_long(out, BRANCH_NULL);
        return;
    }
    *p++ = '[';
    if (meta->last_commit_lsn != 0) {
        p = put_quoted(p, meta->last_commit_lsn);
    } else {
        memcpy(p, "null", 4);
        p += 4;
    }
    *p++ = ',';
    p = put_quoted(p, meta->lsn);
    *p++ = ']';
    avro_put_long(out, BRANCH_VALUE);
    avro_put_string(out, text, (size_t)(p - text));
}

/* Commit times may lie before 1970 in principle: round down. */
static int64_t us_to_ms(int64_t us)
{
    return us / 1000 - (us % 1000 < 0);
}

static void encode(struct buf *out, const struct table *t, const struct event_meta *meta)
{
    int64_t ns = 0;
    bool ns_fits = !__builtin_mul_overflow(meta->source_us, (int64_t)1000, &ns);

    put_text(out, PENSTOCK_VERSION);
    put_text(out, "postgresql");
    put_text(out, meta->server_name);
    avro_put_long(out, us_to_ms(meta->source_us));
    avro_put_long(out, BRANCH_SNAPSHOT);
    put_text(out, meta->snapshot != NULL ? meta->snapshot : "false");
    put_text(out, meta->database);
    put_sequence(out, meta);
    put_optional_long(out, true, meta->source_us);
    put_optional_long(out, ns_fits, ns);
    put_text(out, t->schema);
    put_text(out, t->name);
    put_optional_long(out, meta->xid != 0, (int64_t)meta->xid);
    put_optional_long(out, meta->lsn != 0, (int64_t)meta->lsn);
    put_optional_long(out, false, 0); /* xmin */
}

const struct source_block source_postgres_block = {schema, encode};
