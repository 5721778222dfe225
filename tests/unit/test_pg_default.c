/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DEFAULT expressions as pg_get_expr prints them -> defaults of the event schema: constants as they
 * are, functions as the zero of the type, and nothing for what may have another value.
 */
#include "source_postgres/pg_default.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    enum type_kind kind;
    const char *source_type;
    int precision, scale;
    const char *expr, *json; /* json NULL: no default */
} cases[] = {
    {TYPE_INT32, "integer", 0, 0, "7", "7"},
    {TYPE_INT32, "integer", 0, 0, "'-7'::integer", "-7"},
    {TYPE_INT64, "bigint", 0, 0, "(7)::bigint", "7"},
    {TYPE_INT32, "integer", 0, 0, "(7.6)::integer", NULL},
    {TYPE_INT32, "integer", 0, 0, "(1 + 2)", NULL},
    {TYPE_INT32, "integer", 0, 0, "nextval('public.t_id_seq'::regclass)", NULL},
    {TYPE_INT32, "integer", 0, 0, "own.f(1, 'a)'::text)", "0"},
    {TYPE_INT16, "smallint", 0, 0, "40000", NULL},
    {TYPE_INT32, "integer", 0, 0, "NULL::integer", NULL},
    {TYPE_INT32, "integer", 0, 0, "", NULL},
    {TYPE_BOOL, "boolean", 0, 0, "true", "true"},
    {TYPE_BOOL, "boolean", 0, 0, "false", "false"},
    {TYPE_FLOAT64, "double precision", 0, 0, "0.1", "0.1"},
    {TYPE_FLOAT32, "real", 0, 0, "'0.1'::real", "0.1"},
    {TYPE_FLOAT64, "double precision", 0, 0, "'NaN'::double precision", NULL},
    {TYPE_DECIMAL, "numeric(5,2)", 5, 2, "1.5", "\"\\u0000\\u0096\""},
    {TYPE_DECIMAL, "numeric(5,2)", 5, 2, "1.555", NULL},
    {TYPE_DECIMAL, "numeric(5,2)", 5, 2, "(1.5)::numeric(3,1)", NULL},
    {TYPE_DECIMAL, "numeric(5,2)", 5, 2, "'NaN'::numeric", NULL},
    {TYPE_DECIMAL, "money", 19, 2, "0", "\"\\u0000\""},
    {TYPE_DECIMAL, "money", 19, 2, "'$1.00'::money", "\"d\""},
    {TYPE_NUMERIC, "numeric", 0, 0, "1.0", "{\"scale\":1,\"value\":\"\\u000a\"}"},
    {TYPE_NUMERIC, "numeric", 0, 0, "'Infinity'::numeric", NULL},
    {TYPE_TEXT, "text", 0, 0, "'it''s \"x\" \\'::text", "\"it's \\\"x\\\" \\\\\""},
    {TYPE_TEXT, "text", 0, 0, "''::text", "\"\""},
    {TYPE_TEXT, "text", 0, 0, "'a'::text || 'b'::text", NULL},
    {TYPE_TEXT, "text", 0, 0, "('a'::text || 'b'::text)", NULL},
    {TYPE_TEXT, "text", 0, 0, "('(a'::character varying)::text", "\"(a\""},
    {TYPE_TEXT, "text", 0, 0, "('abcdef'::text)::character varying(3)", NULL},
    {TYPE_TEXT, "text", 0, 0, "'open", NULL},
    {TYPE_TEXT, "text", 0, 0, "CURRENT_USER", "\"\""},
    {TYPE_TEXT, "integer[]", 0, 0, "'{}'::integer[]", "\"{}\""},
    {TYPE_TEXT, "integer[]", 0, 0, "ARRAY[1, 2]", NULL},
    {TYPE_TEXT, "character(3)", 0, 0, "'\xc5\xbc'::bpchar", "\"\xc5\xbc  \""},
    {TYPE_ENUM, "own.mood", 0, 0, "'sad'::own.mood", "\"sad\""},
    {TYPE_BYTES, "bytea", 0, 0, "'\\xff00'::bytea", "\"\\u00ff\\u0000\""},
    {TYPE_DATE, "date", 0, 0, "'2000-01-01'::date", "10957"},
    {TYPE_DATE, "date", 0, 0, "CURRENT_DATE", "0"},
    {TYPE_TIMESTAMPTZ, "timestamp with time zone", 0, 0, "now()", "\"1970-01-01T00:00:00Z\""},
    {TYPE_TIMESTAMPTZ, "timestamp with time zone", 0, 0, "(now() + '1 day'::interval)",
     "\"1970-01-01T00:00:00Z\""},
    {TYPE_UUID, "uuid", 0, 0, "gen_random_uuid()", "\"00000000-0000-0000-0000-000000000000\""},
    {TYPE_JSON, "jsonb", 0, 0, "'{\"a\": \"b\"}'::jsonb", "\"{\\\"a\\\": \\\"b\\\"}\""},
    {TYPE_BITS, "bit(3)", 3, 0, "'101'::\"bit\"", "\"\\u0005\""},
    {TYPE_BITS, "bit(1)", 1, 0, "'1'::\"bit\"", "true"},
};

static void test_defaults(void **state)
{
    struct arena *a = arena_new("default");

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct column c = {.name = "c",
                           .kind = cases[i].kind,
                           .source_type = cases[i].source_type,
                           .precision = cases[i].precision,
                           .scale = cases[i].scale,
                           .typmod = cases[i].kind == TYPE_TEXT ? 3 + 4 : -1};
        const char *json = pg_column_default(a, &c, cases[i].expr);

        if ((json == NULL) != (cases[i].json == NULL) ||
            (json != NULL && strcmp(json, cases[i].json) != 0))
            fail_msg("%s as %s: %s, not %s", cases[i].expr, cases[i].source_type,
                     json ? json : "none", cases[i].json ? cases[i].json : "none");
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
