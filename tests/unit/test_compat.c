/* SPDX-License-Identifier: Apache-2.0 */
/* Schema resolution and validation: pairs of schemas with the verdict and words of the error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "avro/compat.h"

/* JSON with single quotes, for reading's sake, turned into JSON. */
static const char *q(const char *s)
{
    static char text[4][4096];
    static int at;
    char *out = text[at++ % 4];

    snprintf(out, sizeof(text[0]), "%s", s);
    for (char *p = out; *p != '\0'; p++) {
        if (*p == '\'')
            *p = '"';
    }
    return out;
}

#define REC(fields) "{'type':'record','name':'R','fields':[" fields "]}"
#define DEC(p, s) "{'type':'bytes','logicalType':'decimal','precision':" p ",'scale':" s "}"
#define ENUM(symbols) "{'type':'enum','name':'E','symbols':[" symbols "]}"

struct pair {
    const char *reader, *writer;
    const char *error; /* words of it; NULL: readable */
};

static const struct pair pairs[] = {
    /* Promotions */
    {"'long'", "'int'", NULL},
    {"'double'", "'long'", NULL},
    {"'float'", "'long'", NULL},
    {"'double'", "'float'", NULL},
    {"'bytes'", "'string'", NULL},
    {"'string'", "'bytes'", NULL},
    {"'int'", "'long'", "schema: long cannot be read as int"},
    {"'float'", "'double'", "double cannot be read as float"},
    {"'string'", "'int'", "int cannot be read as string"},
    {"'boolean'", "'int'", "int cannot be read as boolean"},
    /* Unions */
    {"['null','int']", "'int'", NULL},
    {"['null','long']", "['null','int']", NULL},
    {"'int'", "['null','int']", "null cannot be read as int"},
    {"['null','int']", "['null','string']", "string cannot be read as [null, int]"},
    {"['null','string','int']", "['int','null']", NULL},
    {"['double',{'type':'long','logicalType':'timestamp-micros'}]", "'long'",
     "the logical type changes from none to timestamp-micros"},
    /* Records */
    {REC("{'name':'a','type':'int'}"), REC("{'name':'a','type':'int'},{'name':'b','type':'int'}"),
     NULL},
    {REC("{'name':'a','type':'int'},{'name':'b','type':'int'}"), REC("{'name':'a','type':'int'}"),
     "field b: the writer has no such field and it has no default"},
    {REC("{'name':'b','type':['null','int'],'default':null}"), REC(""), NULL},
    {REC("{'name':'n','type':'int','aliases':['o']}"), REC("{'name':'o','type':'int'}"), NULL},
    {REC("{'name':'n','type':'int'}"), REC("{'name':'o','type':'int'}"), "field n: the writer"},
    {REC("{'name':'n','type':'int','aliases':['o']},{'name':'o','type':'int','default':1}"),
     REC("{'name':'o','type':'int'}"), "field n: its alias o is also the name of a field"},
    {"{'type':'record','name':'x.R','fields':[]}", "{'type':'record','name':'y.R','fields':[]}",
     "another name"},
    {"{'type':'record','name':'x.R','aliases':['y.R'],'fields':[]}",
     "{'type':'record','name':'y.R','fields':[]}", NULL},
    {REC("{'name':'a','type':['null',{'type':'record','name':'V','fields':[{'name':'q','type':"
         "'string'}]}]}"),
     REC("{'name':'a','type':['null',{'type':'record','name':'V','fields':[{'name':'q','type':"
         "'int'}]}]}"),
     "field a.V.q: int cannot be read as string"},
    /* Recursive */
    {REC("{'name':'next','type':['null','R']},{'name':'v','type':'long'}"),
     REC("{'name':'next','type':['null','R']},{'name':'v','type':'int'}"), NULL},
    {REC("{'name':'next','type':['null','R']},{'name':'v','type':'int'}"),
     REC("{'name':'next','type':['null','R']},{'name':'v','type':'long'}"),
     "long cannot be read as int"},
    /* Arrays, maps, fixed, enums */
    {"{'type':'array','items':'long'}", "{'type':'array','items':'int'}", NULL},
    {REC("{'name':'a','type':{'type':'array','items':'int'}}"),
     REC("{'name':'a','type':{'type':'array','items':'string'}}"),
     "field a.[]: string cannot be read as int"},
    {"{'type':'map','values':'int'}", "{'type':'map','values':'long'}", "{}: long"},
    {"{'type':'fixed','name':'F','size':4}", "{'type':'fixed','name':'F','size':8}",
     "changes its size from 8 to 4"},
    {"{'type':'fixed','name':'F','size':4}", "{'type':'fixed','name':'G','size':4}",
     "another name"},
    {ENUM("'A','B'"), ENUM("'B'"), NULL},
    {ENUM("'A'"), ENUM("'A','B'"), "symbol B of enum E is missing"},
    {"{'type':'enum','name':'E','symbols':['A'],'default':'A'}", ENUM("'A','B'"), NULL},
    {"'string'", ENUM("'A'"), "enum E cannot be read as string"},
    /* Ours */
    {DEC("12", "2"), DEC("10", "2"), NULL},
    {DEC("10", "4"), DEC("10", "2"), "the scale changes from 2 to 4"},
    {"'bytes'", DEC("10", "2"), "the logical type changes from decimal to none"},
    {DEC("10", "2"), "'bytes'", "the logical type changes from none to decimal"},
    {"{'type':'long','logicalType':'time-micros'}", "{'type':'int','logicalType':'time-millis'}",
     "the logical type changes from time-millis to time-micros"},
    {REC("{'name':'e','type':{'type':'string','connect.parameters':{'allowed':'a,b,c'}}}"),
     REC("{'name':'e','type':{'type':'string','connect.parameters':{'allowed':'a,b'}}}"), NULL},
    /* What is wrong in itself */
    {"'nosuch'", "'int'", "reader: invalid Avro schema: unknown type nosuch"},
    {"'int'", "{", "writer: invalid Avro schema: not JSON"},
};

static void test_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const struct pair *p = &pairs[i];
        struct error err = {0};
        bool ok = avro_can_read(q(p->reader), q(p->writer), &err);

        if (ok != (p->error == NULL) || (p->error && strstr(err.message, p->error) == NULL))
            fail_msg("%s reads %s: %s", p->reader, p->writer, ok ? "yes" : err.message);
        if (!ok)
            assert_int_equal(err.kind, ERROR_DATA);
    }
}

struct schema {
    const char *text;
    const char *error; /* NULL: valid */
};

static const struct schema schemas[] = {
    {"'int'", NULL},
    {"{'type':'string','logicalType':'uuid'}", NULL},
    {REC("{'name':'a','type':'int','default':7}"), NULL},
    {REC("{'name':'a','type':'int','default':'7'}"), "field a: its default is not a value of int"},
    {REC("{'name':'a','type':'int','default':2147483648}"), "not a value of int"},
    {REC("{'name':'a','type':'long','default':1.5}"), "not a value of long"},
    {REC("{'name':'a','type':'double','default':1}"), NULL},
    {REC("{'name':'a','type':['null','int'],'default':1}"),
     "not a value of null (the first branch"},
    {REC("{'name':'a','type':['null','int'],'default':'null'}"), "not a value of null"},
    {REC("{'name':'a','type':['int','null'],'default':1}"), NULL},
    {REC("{'name':'a','type':'bytes','default':'\\u0000\\u00ff'}"), NULL},
    {REC("{'name':'a','type':'bytes','default':'\\u0100'}"), "not a value of bytes"},
    {REC("{'name':'a','type':{'type':'fixed','name':'F','size':2},'default':'\\u0000\\u00ff'}"),
     NULL},
    {REC("{'name':'a','type':{'type':'fixed','name':'F','size':2},'default':'a'}"), "fixed F"},
    {REC("{'name':'a','type':" ENUM("'A'") ",'default':'B'}"), "enum E"},
    {REC("{'name':'a','type':{'type':'array','items':'int'},'default':[1,'x']}"), "of int"},
    {REC("{'name':'a','type':{'type':'map','values':'int'},'default':{'k':null}}"), "of int"},
    {REC("{'name':'a','type':{'type':'record','name':'S','fields':[{'name':'x','type':'int'}]},"
         "'default':{}}"),
     "lacks field x of record S"},
    {REC("{'name':'a','type':['R','null'],'default':{}},{'name':'b','type':'int'}"),
     "lacks field b of record R"},
    {REC("{'name':'a','type':'int'},{'name':'a','type':'int'}"), "two fields of this name"},
    {REC("{'name':'a','type':" REC("") "}"), "R is defined twice"},
    {REC("{'name':'a-b','type':'int'}"), "field a-b: not a name"},
    {REC("{'name':'1a','type':'int'}"), "not a name"},
    {REC("{'name':'a','type':'int','aliases':['b-c']}"), "alias b-c is not a name"},
    {REC("{'name':'a','type':'int','order':'up'}"), "order is not"},
    {REC("{'name':'a'}"), "has no type"},
    {"{'type':'record','name':'R','namespace':'shop-1.public','fields':[]}",
     "shop-1.public.R is not a name"},
    {"{'type':'record','name':'R','namespace':'n','fields':[{'name':'a','type':['null','R']},"
     "{'name':'b','type':'n.R'}]}",
     NULL},
    {"{'type':'record','name':'int','fields':[]}", "primitive type"},
    {"{'type':'record','name':'R'}", "no array of fields"},
    {"{'type':'record','fields':[]}", "has no name"},
    {"['int','int']", "a union holds int twice"},
    {"['int',['null']]", "a union lies directly in a union"},
    {"[]", "no branches"},
    {"[{'type':'array','items':'int'},{'type':'array','items':'long'}]", "holds array twice"},
    {ENUM("'A','A'"), "symbol A twice"},
    {ENUM(""), "no symbols"},
    {"{'type':'enum','name':'E','symbols':['A'],'default':'B'}", "not one of its symbols"},
    {"{'type':'fixed','name':'F','size':-1}", "no size"},
    {"{'type':'array'}", "without items"},
    {DEC("3", "5"), "precision 3 and scale 5"},
    {"{'type':'bytes','logicalType':'decimal'}", "precision 0"},
    {"{'type':'int','logicalType':'decimal','precision':2}", "not of int"},
    {"{'type':'int','type':'long'}", "not JSON"},
    {"17", "a schema is a string"},
    {"", "not JSON"},
};

static void test_validate(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
        const struct schema *s = &schemas[i];
        struct error err = {0};
        bool ok = avro_validate(q(s->text), &err);

        if (ok != (s->error == NULL) || (s->error && strstr(err.message, s->error) == NULL))
            fail_msg("%s: %s", s->text, ok ? "valid" : err.message);
    }
}

static void test_depth(void **state)
{
    static char text[64 * 1024];
    struct error err = {0};
    size_t at = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "{\"type\":\"array\",\"items\":");
    at += (size_t)snprintf(text + at, sizeof(text) - at, "\"int\"");
    for (int i = 0; i < 1000; i++)
        text[at++] = '}';
    text[at] = '\0';
    assert_false(avro_validate(text, &err));
    assert_non_null(strstr(err.message, "more than 64 types"));
}

static void test_modes(void **state)
{
    enum compat_mode m;

    (void)state;
    for (int i = COMPAT_NONE; i <= COMPAT_FULL_TRANSITIVE; i++) {
        assert_true(compat_mode_parse(compat_mode_name((enum compat_mode)i), &m));
        assert_int_equal(m, i);
    }
    assert_false(compat_mode_parse("backward", &m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_validate),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_modes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
