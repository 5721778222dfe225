/* SPDX-License-Identifier: Apache-2.0 */
#include "change/value.h"

#include <string.h>

static const char *const kind_names[TYPE_COUNT] = {
    [TYPE_BOOL] = "bool",           [TYPE_INT16] = "int16",
    [TYPE_INT32] = "int32",         [TYPE_INT64] = "int64",
    [TYPE_FLOAT32] = "float32",     [TYPE_FLOAT64] = "float64",
    [TYPE_DECIMAL] = "decimal",     [TYPE_NUMERIC] = "numeric",
    [TYPE_TEXT] = "text",           [TYPE_BYTES] = "bytes",
    [TYPE_DATE] = "date",           [TYPE_TIME] = "time",
    [TYPE_TIMESTAMP] = "timestamp", [TYPE_TIMESTAMPTZ] = "timestamptz",
    [TYPE_INTERVAL] = "interval",   [TYPE_UUID] = "uuid",
    [TYPE_JSON] = "json",           [TYPE_ENUM] = "enum",
    [TYPE_BITS] = "bits",
};

const char *type_kind_name(enum type_kind kind)
{
    return kind < TYPE_COUNT ? kind_names[kind] : "?";
}

bool type_kind_is_text(enum type_kind kind)
{
    switch (kind) {
    case TYPE_BOOL:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
    case TYPE_DATE:
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        return false;
    default:
        return true;
    }
}

enum type_kind type_kind_parse(const char *name)
{
    int k;

    for (k = 0; k < TYPE_COUNT; k++) {
        if (strcmp(kind_names[k], name) == 0)
            break;
    }
    return (enum type_kind)k;
}
