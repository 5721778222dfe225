/* SPDX-License-Identifier: Apache-2.0 */
/* The source record of Postgres events: avro-c reads what is written, and its schema's text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* The library's header, which src/avro/schema.h hides from <avro/schema.h> under -Isrc. */
#include <linux/../avro/schema.h>

#include <avro.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source_postgres/source_block.h"

static const struct table table = {.schema = "public", .name = "Größe"};

static const char *const field_names[] = {"version", "connector", "name",  "ts_ms", "snapshot",
                                          "db",      "sequence",  "ts_us", "ts_ns", "schema",
                                          "table",   "txId",      "lsn",   "xmin"};
#define NFIELDS (sizeof(field_names) / sizeof(field_names[0]))

/* The encoded record as avro-c's JSON: ",field=value" for each field in order. */
static char *encode_and_read(const struct event_meta *meta)
{
    struct buf b = {0}, text = {0};
    avro_schema_t schema;
    avro_value_iface_t *iface;
    avro_value_t record, field;
    avro_reader_t reader;
    size_t count;
    char rest;

    assert_int_equal(avro_schema_from_json_length(source_postgres_block.schema_json,
                                                  strlen(source_postgres_block.schema_json),
                                                  &schema),
                     0);
    source_postgres_block.encode(&b, &table, meta);
    iface = avro_generic_class_from_schema(schema);
    assert_int_equal(avro_generic_value_new(iface, &record), 0);
    reader = avro_reader_memory((const char *)b.data, (int64_t)b.len);
    assert_int_equal(avro_value_read(reader, &record), 0);
    assert_int_not_equal(avro_read(reader, &rest, 1), 0); /* nothing is left */
    avro_value_get_size(&record, &count);
    assert_int_equal(count, NFIELDS);
    for (size_t i = 0; i < count; i++) {
        const char *name;
        char *json;

        assert_int_equal(avro_value_get_by_index(&record, i, &field, &name), 0);
        assert_string_equal(name, field_names[i]);
        assert_int_equal(avro_value_to_json(&field, 1, &json), 0);
        buf_printf(&text, "%s%s", i > 0 ? " " : "", json);
        free(json);
    }
    buf_cstr(&text);
    avro_reader_free(reader);
    avro_value_decref(&record);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    buf_free(&b);
    return (char *)text.data;
}

static void expect(const struct event_meta *meta, const char *want)
{
    char *got = encode_and_read(meta);

    assert_string_equal(got, want);
    free(got);
}

static void row_of_the_log(void **state)
{
    struct event_meta meta = {.source_us = 1709210096789123,
                              .xid = 4294967295,
                              .lsn = 0x16B5350,
                              .last_commit_lsn = UINT64_MAX,
                              .server_name = "shop",
                              .database = "shopdb",
                              .snapshot = "false"};

    (void)state;
    expect(&meta,
           "\"" PENSTOCK_VERSION "\" \"postgresql\" \"shop\" 1709210096789 "
           "{\"string\": \"false\"} \"shopdb\" "
           "{\"string\": \"[\\\"18446744073709551615\\\",\\\"23810896\\\"]\"} "
           "{\"long\": 1709210096789123} {\"long\": 1709210096789123000} "
           "\"public\" \"Gr\\u00F6\\u00DFe\" {\"long\": 4294967295} {\"long\": 23810896} null");
}

static void first_row_has_no_commit_before(void **state)
{
    struct event_meta meta = {.source_us = -1,
                              .xid = 1,
                              .lsn = 7,
                              .server_name = "shop",
                              .database = "",
                              .snapshot = "incremental"};

    (void)state;
    expect(&meta, "\"" PENSTOCK_VERSION "\" \"postgresql\" \"shop\" -1 "
                  "{\"string\": \"incremental\"} \"\" {\"string\": \"[null,\\\"7\\\"]\"} "
                  "{\"long\": -1} {\"long\": -1000} \"public\" \"Gr\\u00F6\\u00DFe\" "
                  "{\"long\": 1} {\"long\": 7} null");
}

static void row_of_a_snapshot(void **state)
{
    struct event_meta meta = {.source_us = INT64_MAX, .server_name = "shop", .snapshot = "first"};

    (void)state;
    expect(&meta, "\"" PENSTOCK_VERSION "\" \"postgresql\" \"shop\" 9223372036854775 "
                  "{\"string\": \"first\"} \"\" null {\"long\": 9223372036854775807} null "
                  "\"public\" \"Gr\\u00F6\\u00DFe\" null null null");
}

/* Byte for byte what docs and consumers were checked against. */
static void schema_text(void **state)
{
    static const char want[] =
        "{\"type\":\"record\",\"name\":\"Source\",\"namespace\":"
        "\"io.debezium.connector.postgresql\",\"fields\":["
        "{\"name\":\"version\",\"type\":\"string\"},"
        "{\"name\":\"connector\",\"type\":\"string\"},"
        "{\"name\":\"name\",\"type\":\"string\"},"
        "{\"name\":\"ts_ms\",\"type\":\"long\"},"
        "{\"name\":\"snapshot\",\"type\":[{\"type\":\"string\",\"connect.version\":1,"
        "\"connect.parameters\":{\"allowed\":\"true,first,first_in_data_collection,"
        "last_in_data_collection,last,false,incremental\"},\"connect.default\":\"false\","
        "\"connect.name\":\"io.debezium.data.Enum\"},\"null\"],\"default\":\"false\"},"
        "{\"name\":\"db\",\"type\":\"string\"},"
        "{\"name\":\"sequence\",\"type\":[\"null\",\"string\"],\"default\":null},"
        "{\"name\":\"ts_us\",\"type\":[\"null\",\"long\"],\"default\":null},"
        "{\"name\":\"ts_ns\",\"type\":[\"null\",\"long\"],\"default\":null},"
        "{\"name\":\"schema\",\"type\":\"string\"},"
        "{\"name\":\"table\",\"type\":\"string\"},"
        "{\"name\":\"txId\",\"type\":[\"null\",\"long\"],\"default\":null},"
        "{\"name\":\"lsn\",\"type\":[\"null\",\"long\"],\"default\":null},"
        "{\"name\":\"xmin\",\"type\":[\"null\",\"long\"],\"default\":null}],"
        "\"connect.version\":1,\"connect.name\":\"io.debezium.connector.postgresql.Source\"}";

    (void)state;
    assert_string_equal(source_postgres_block.schema_json, want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schema_text),
        cmocka_unit_test(row_of_the_log),
        cmocka_unit_test(first_row_has_no_commit_before),
        cmocka_unit_test(row_of_a_snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
