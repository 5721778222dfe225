/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Defaults of record fields (Avro specification, "Complex Types", "Records", table of defaults):
 * bytes and fixed as strings of code points 0..255, a union's as a value of its first branch. A
 * record's default may leave out fields that have a default of their own. The value itself is
 * never put into a message.
 */
#include "avro/shape_default.h"

#include <stdint.h>
#include <string.h>

/* Code points of a UTF-8 string that must all be below 256; -1 if one is not. */
static int64_t latin1_length(const json_t *j)
{
    const unsigned char *s = (const unsigned char *)json_string_value(j);
    size_t n = json_string_length(j);
    int64_t count = 0;

    for (size_t i = 0; i < n; i++) {
        if (s[i] >= 0xc4) /* begins U+0100 or more */
            return -1;
        count += (s[i] & 0xc0) != 0x80;
    }
    return count;
}

static bool integer_ok(const json_t *def, int64_t min, int64_t max)
{
    return json_is_integer(def) && json_integer_value(def) >= min && json_integer_value(def) <= max;
}

static bool symbol_ok(const struct shape *type, const json_t *def)
{
    for (int i = 0; json_is_string(def) && i < type->nsymbols; i++) {
        if (strcmp(type->symbols[i], json_string_value(def)) == 0 &&
            strlen(type->symbols[i]) == json_string_length(def))
            return true;
    }
    return false;
}

static bool members_ok(struct arena *a, const struct shape *type, const json_t *def,
                       const char **why)
{
    const char *key;
    json_t *v;
    size_t i;

    if (type->type == SHAPE_ARRAY) {
        json_array_foreach(def, i, v)
        {
            if (!shape_default_ok(a, type->branches[0], v, why))
                return false;
        }
        return true;
    }
    /* The iterator does not change the object; jansson's interface has no const one. */
    json_object_foreach((json_t *)(uintptr_t)def, key, v)
    {
        if (!shape_default_ok(a, type->branches[0], v, why))
            return false;
    }
    return true;
}

static bool record_ok(struct arena *a, const struct shape *type, const json_t *def,
                      const char **why)
{
    for (int i = 0; i < type->nfields; i++) {
        const struct shape_field *f = &type->fields[i];
        const json_t *v = json_object_get(def, f->name);

        if (v == NULL && f->def != NULL)
            continue;
        if (v == NULL) {
            *why = arena_printf(a, "lacks field %s of record %s", f->name, type->name);
            return false;
        }
        if (!shape_default_ok(a, f->type, v, why))
            return false;
    }
    return true;
}

static bool scalar_ok(const struct shape *type, const json_t *def)
{
    switch (type->type) {
    case SHAPE_NULL:
        return json_is_null(def);
    case SHAPE_BOOLEAN:
        return json_is_boolean(def);
    case SHAPE_INT:
        return integer_ok(def, INT32_MIN, INT32_MAX);
    case SHAPE_LONG:
        return integer_ok(def, INT64_MIN, INT64_MAX);
    case SHAPE_FLOAT:
    case SHAPE_DOUBLE:
        return json_is_number(def);
    case SHAPE_STRING:
        return json_is_string(def);
    case SHAPE_BYTES:
        return json_is_string(def) && latin1_length(def) >= 0;
    case SHAPE_FIXED:
        return json_is_string(def) && latin1_length(def) == type->size;
    case SHAPE_ENUM:
        return symbol_ok(type, def);
    case SHAPE_ARRAY:
        return json_is_array(def);
    case SHAPE_MAP:
    case SHAPE_RECORD:
        return json_is_object(def);
    case SHAPE_UNION:
        break;
    }
    return false;
}

bool shape_default_ok(struct arena *a, const struct shape *type, const json_t *def,
                      const char **why)
{
    if (type->type == SHAPE_UNION) {
        if (shape_default_ok(a, type->branches[0], def, why))
            return true;
        *why = arena_printf(a, "%s (the first branch of its union counts)", *why);
        return false;
    }
    if (!scalar_ok(type, def)) {
        *why = arena_printf(a, "is not a value of %s", shape_describe(a, type));
        return false;
    }
    if (type->type == SHAPE_ARRAY || type->type == SHAPE_MAP)
        return members_ok(a, type, def, why);
    return type->type == SHAPE_RECORD ? record_ok(a, type, def, why) : true;
}
