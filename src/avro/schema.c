/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table version -> Avro schema text: Debezium 3's envelope as Confluent's AvroConverter writes
 * it, attributes in the converter's order, then our two fields. Nothing but the table decides the
 * bytes, so that the same version always has the same id in a registry.
 *
 * A named type is defined at its first use and then referenced by name. A reference cannot carry
 * properties, so columns of such a type (NUMERIC) have their connect.parameters on the field.
 */
#include "avro/schema.h"

#include "avro/node.h"
#include "avro/wire.h"

#include <string.h>

static void put_string(struct buf *out, const char *s)
{
    buf_u8(out, '"');
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\') {
            buf_u8(out, '\\');
            buf_u8(out, c);
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_u8(out, c);
        }
    }
    buf_u8(out, '"');
}

/* ,"key":"value" or, as the first member, without the comma */
static void put_member(struct buf *out, bool first, const char *key, const char *value)
{
    if (!first)
        buf_u8(out, ',');
    put_string(out, key);
    buf_u8(out, ':');
    put_string(out, value);
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The topic with every part a valid Avro name, with suffix; appended. */
static void put_namespace(struct buf *out, const char *topic, const char *suffix)
{
    const char *p = topic;

    for (;; p++) {
        bool starts = p == topic || p[-1] == '.';

        if (starts && (*p == '.' || *p == '\0' || (*p >= '0' && *p <= '9')))
            buf_u8(out, '_');
        if (*p == '\0')
            break;
        buf_u8(out, *p == '.' || *p == '_' || is_letter_or_digit(*p) ? (uint8_t)*p : '_');
    }
    buf_puts(out, suffix);
}

static void put_name(struct buf *out, const char *attribute, const char *topic, const char *suffix)
{
    buf_printf(out, "\"%s\":\"", attribute);
    put_namespace(out, topic, suffix);
    buf_u8(out, '"');
}

/* The kind's name where the Avro type and connect.name leave it open, else NULL. */
static const char *kind_mark(const struct column *c)
{
    bool string = c->kind == TYPE_TEXT || c->kind == TYPE_INTERVAL;
    const char *semantic = c->kind == TYPE_TEXT ? c->semantic : NULL;

    if (c->kind == TYPE_BITS && c->precision == 1)
        return type_kind_name(TYPE_BITS);
    if (string && kind_of_string(semantic, c->source_type) != c->kind)
        return type_kind_name(c->kind);
    return NULL;
}

static void put_parameters(struct buf *out, const struct column *c)
{
    const char *mark = kind_mark(c);

    buf_puts(out, "\"connect.parameters\":{");
    if (c->kind == TYPE_DECIMAL)
        buf_printf(out, "\"scale\":\"%d\",\"connect.decimal.precision\":\"%d\",", c->scale,
                   c->precision);
    if (c->kind == TYPE_BITS && c->precision != 1)
        buf_printf(out, "\"length\":\"%d\",", c->precision);
    if (c->kind == TYPE_ENUM && c->allowed != NULL) {
        put_member(out, true, "allowed", c->allowed);
        buf_u8(out, ',');
    }
    put_member(out, true, PARAM_COLUMN_TYPE, c->source_type ? c->source_type : "");
    put_member(out, false, PARAM_COLUMN_NAME, c->name);
    if (mark != NULL)
        put_member(out, false, PARAM_KIND, mark);
    buf_u8(out, '}');
}

/* connect.name of the kind, or NULL. */
static const char *connect_name(const struct column *c)
{
    switch (c->kind) {
    case TYPE_DECIMAL:
        return "org.apache.kafka.connect.data.Decimal";
    case TYPE_TEXT:
        return c->semantic;
    case TYPE_DATE:
        return "io.debezium.time.Date";
    case TYPE_TIME:
        return "io.debezium.time.MicroTime";
    case TYPE_TIMESTAMP:
        return "io.debezium.time.MicroTimestamp";
    case TYPE_TIMESTAMPTZ:
        return "io.debezium.time.ZonedTimestamp";
    case TYPE_UUID:
        return "io.debezium.data.Uuid";
    case TYPE_JSON:
        return "io.debezium.data.Json";
    case TYPE_ENUM:
        return "io.debezium.data.Enum";
    case TYPE_BITS:
        return c->precision == 1 ? NULL : "io.debezium.data.Bits";
    default:
        return NULL;
    }
}

static const char *avro_type(const struct column *c)
{
    switch (c->kind) {
    case TYPE_BOOL:
        return "boolean";
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_DATE:
        return "int";
    case TYPE_INT64:
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
        return "long";
    case TYPE_FLOAT32:
        return "float";
    case TYPE_FLOAT64:
        return "double";
    case TYPE_DECIMAL:
    case TYPE_BYTES:
        return "bytes";
    case TYPE_BITS:
        return c->precision == 1 ? "boolean" : "bytes";
    default:
        return "string";
    }
}

static void put_numeric(struct buf *out, bool *defined)
{
    static const char name[] = "io.debezium.data.VariableScaleDecimal";

    if (*defined)
        buf_printf(out, "\"%s\"", name);
    else
        buf_printf(out,
                   "{\"type\":\"record\",\"name\":\"VariableScaleDecimal\","
                   "\"namespace\":\"io.debezium.data\",\"fields\":["
                   "{\"name\":\"scale\",\"type\":\"int\"},{\"name\":\"value\",\"type\":\"bytes\"}],"
                   "\"connect.doc\":\"Variable scaled decimal\",\"connect.version\":1,"
                   "\"connect.name\":\"%s\"}",
                   name);
    *defined = true;
}

/* The column's type without its union. */
static void put_type(struct buf *out, const struct column *c, bool *numeric_defined)
{
    const char *name = connect_name(c);

    if (c->kind == TYPE_NUMERIC) {
        put_numeric(out, numeric_defined);
        return;
    }
    buf_printf(out, "{\"type\":\"%s\",", avro_type(c));
    if (c->kind == TYPE_INT16)
        buf_puts(out, "\"connect.type\":\"int16\",");
    if (c->kind == TYPE_DECIMAL)
        buf_printf(out, "\"scale\":%d,\"precision\":%d,", c->scale, c->precision);
    if (name != NULL)
        buf_puts(out, "\"connect.version\":1,");
    put_parameters(out, c);
    if (c->def != NULL && !column_optional(c))
        buf_printf(out, ",\"connect.default\":%s", c->def);
    if (name != NULL)
        put_member(out, false, "connect.name", name);
    if (c->kind == TYPE_DECIMAL)
        buf_puts(out, ",\"logicalType\":\"decimal\"");
    buf_u8(out, '}');
}

/* The fields that it was before: readers of older events find it by them (Avro, "Aliases"). */
static void put_aliases(struct buf *out, const char *list)
{
    const char *sep = ",\"aliases\":[\"";

    for (; list != NULL && *list != '\0'; list += strspn(list, ",")) {
        size_t n = strcspn(list, ",");

        buf_printf(out, "%s%.*s", sep, (int)n, list);
        sep = "\",\"";
        list += n;
    }
    if (sep[0] == '\"')
        buf_puts(out, "\"]");
}

static void put_field(struct buf *out, const struct column *c, bool nullable, bool *numeric_defined)
{
    put_member(out, true, "name", c->field);
    put_aliases(out, c->aliases);
    buf_puts(out, nullable ? ",\"type\":[\"null\"," : ",\"type\":");
    put_type(out, c, numeric_defined);
    if (nullable)
        buf_puts(out, "],\"default\":null");
    else if (c->def != NULL && !column_optional(c))
        buf_printf(out, ",\"default\":%s", c->def);
    if (c->kind == TYPE_NUMERIC) {
        buf_u8(out, ',');
        put_parameters(out, c);
    }
}

static void put_value_record(struct buf *out, const struct table *t)
{
    struct buf ns = {0};
    bool numeric_defined = false;
    int i;

    buf_puts(out, "{\"type\":\"record\",\"name\":\"Value\",\"fields\":[");
    for (i = 0; i < t->ncols; i++) {
        buf_puts(out, i ? ",{" : "{");
        put_field(out, &t->cols[i], column_optional(&t->cols[i]), &numeric_defined);
        buf_u8(out, '}');
    }
    buf_puts(out, "],\"connect.parameters\":{");
    put_member(out, true, PARAM_SCHEMA, t->schema);
    put_member(out, false, PARAM_TABLE, t->name);
    put_namespace(&ns, t->topic, "");
    if (strcmp(buf_cstr(&ns), t->topic) != 0)
        put_member(out, false, PARAM_TOPIC, t->topic);
    buf_puts(out, "},");
    put_name(out, "connect.name", t->topic, ".Value");
    buf_u8(out, '}');
    buf_free(&ns);
}

void avro_value_schema(struct buf *out, const struct table *t, const struct source_block *block)
{
    buf_puts(out, "{\"type\":\"record\",\"name\":\"Envelope\",");
    put_name(out, "namespace", t->topic, "");
    buf_puts(out, ",\"fields\":[{\"name\":\"before\",\"type\":[\"null\",");
    put_value_record(out, t);
    buf_puts(out, "],\"default\":null},"
                  "{\"name\":\"after\",\"type\":[\"null\",\"Value\"],\"default\":null},"
                  "{\"name\":\"source\",\"type\":");
    buf_puts(out, block->schema_json);
    buf_puts(out,
             "},{\"name\":\"transaction\",\"type\":[\"null\",{\"type\":\"record\","
             "\"name\":\"block\",\"namespace\":\"event\",\"fields\":["
             "{\"name\":\"id\",\"type\":\"string\"},{\"name\":\"total_order\",\"type\":\"long\"},"
             "{\"name\":\"data_collection_order\",\"type\":\"long\"}],\"connect.version\":1,"
             "\"connect.name\":\"event.block\"}],\"default\":null},"
             "{\"name\":\"op\",\"type\":\"string\"},"
             "{\"name\":\"ts_ms\",\"type\":[\"null\",\"long\"],\"default\":null},"
             "{\"name\":\"ts_us\",\"type\":[\"null\",\"long\"],\"default\":null},"
             "{\"name\":\"ts_ns\",\"type\":[\"null\",\"long\"],\"default\":null},"
             "{\"name\":\"csn\",\"type\":[\"null\",\"long\"],\"default\":null},"
             "{\"name\":\"unavailable\",\"type\":[\"null\",{\"type\":\"array\","
             "\"items\":\"string\"}],\"default\":null}],\"connect.version\":2,");
    put_name(out, "connect.name", t->topic, ".Envelope");
    buf_u8(out, '}');
}

void avro_key_schema(struct buf *out, const struct table *t)
{
    bool numeric_defined = false;
    int i;

    buf_puts(out, "{\"type\":\"record\",\"name\":\"Key\",");
    put_name(out, "namespace", t->topic, "");
    buf_puts(out, ",\"fields\":[");
    for (i = 0; i < t->nkeys; i++) {
        buf_puts(out, i ? ",{" : "{");
        put_field(out, &t->cols[t->keys[i]], false, &numeric_defined);
        buf_u8(out, '}');
    }
    buf_puts(out, "],");
    put_name(out, "connect.name", t->topic, ".Key");
    buf_u8(out, '}');
}
