/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values out of vectors, lists, arrays, structs, maps and unions included, as duckdb_value: DuckDB
 * then prints them itself. Depth is that of the type, which the parser bounds.
 */
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"

#include <string.h>

static void destroy(duckdb_value *values, idx_t n)
{
    idx_t i;

    for (i = 0; i < n; i++)
        duckdb_destroy_value(&values[i]);
    mem_free(values);
}

/* n values of a child vector from a row on; NULL if one has no value. Takes no ownership. */
static duckdb_value *take(duckdb_logical_type lt, duckdb_vector v, idx_t from, idx_t n)
{
    duckdb_value *values = mem_calloc(n + 1, sizeof(*values));
    idx_t i;

    for (i = 0; i < n; i++) {
        values[i] = wdk_value(lt, v, from + i);
        if (values[i] == NULL) {
            destroy(values, i);
            return NULL;
        }
    }
    return values;
}

static duckdb_value list_value(duckdb_logical_type lt, duckdb_vector v, idx_t row)
{
    duckdb_list_entry e = ((duckdb_list_entry *)duckdb_vector_get_data(v))[row];
    duckdb_logical_type child = duckdb_list_type_child_type(lt);
    duckdb_value *values = take(child, duckdb_list_vector_get_child(v), e.offset, e.length);
    duckdb_value out = NULL;

    if (values != NULL) {
        out = duckdb_create_list_value(child, values, e.length);
        destroy(values, e.length);
    }
    duckdb_destroy_logical_type(&child);
    return out;
}

static duckdb_value array_value(duckdb_logical_type lt, duckdb_vector v, idx_t row)
{
    duckdb_logical_type child = duckdb_array_type_child_type(lt);
    idx_t n = duckdb_array_type_array_size(lt);
    duckdb_value *values = take(child, duckdb_array_vector_get_child(v), row * n, n);
    duckdb_value out = NULL;

    if (values != NULL) {
        out = duckdb_create_array_value(child, values, n);
        destroy(values, n);
    }
    duckdb_destroy_logical_type(&child);
    return out;
}

static duckdb_value struct_value(duckdb_logical_type lt, duckdb_vector v, idx_t row)
{
    idx_t i, n = duckdb_struct_type_child_count(lt);
    duckdb_value *values = mem_calloc(n + 1, sizeof(*values)), out = NULL;

    for (i = 0; i < n; i++) {
        duckdb_logical_type child = duckdb_struct_type_child_type(lt, i);

        values[i] = wdk_value(child, duckdb_struct_vector_get_child(v, i), row);
        duckdb_destroy_logical_type(&child);
        if (values[i] == NULL)
            break;
    }
    if (i == n)
        out = duckdb_create_struct_value(lt, values);
    destroy(values, i);
    return out;
}

/* A map is a list of structs of key and value. */
static duckdb_value map_value(duckdb_logical_type lt, duckdb_vector v, idx_t row)
{
    duckdb_list_entry e = ((duckdb_list_entry *)duckdb_vector_get_data(v))[row];
    duckdb_vector entries = duckdb_list_vector_get_child(v);
    duckdb_logical_type kt = duckdb_map_type_key_type(lt), vt = duckdb_map_type_value_type(lt);
    duckdb_value *keys, *values = NULL, out = NULL;

    keys = take(kt, duckdb_struct_vector_get_child(entries, 0), e.offset, e.length);
    if (keys != NULL)
        values = take(vt, duckdb_struct_vector_get_child(entries, 1), e.offset, e.length);
    if (values != NULL)
        out = duckdb_create_map_value(lt, keys, values, e.length);
    if (keys != NULL)
        destroy(keys, e.length);
    if (values != NULL)
        destroy(values, e.length);
    duckdb_destroy_logical_type(&kt);
    duckdb_destroy_logical_type(&vt);
    return out;
}

/* A union is a struct of a tag and its members. */
static duckdb_value union_value(duckdb_logical_type lt, duckdb_vector v, idx_t row)
{
    duckdb_vector tags = duckdb_struct_vector_get_child(v, 0);
    uint8_t tag = ((const uint8_t *)duckdb_vector_get_data(tags))[row];
    duckdb_logical_type child = duckdb_union_type_member_type(lt, tag);
    duckdb_value member, out = NULL;

    member = wdk_value(child, duckdb_struct_vector_get_child(v, (idx_t)tag + 1), row);
    if (member != NULL)
        out = duckdb_create_union_value(lt, tag, member);
    duckdb_destroy_value(&member);
    duckdb_destroy_logical_type(&child);
    return out;
}

static duckdb_value enum_value(duckdb_logical_type lt, const void *data, idx_t row)
{
    switch (duckdb_enum_internal_type(lt)) {
    case DUCKDB_TYPE_UTINYINT:
        return duckdb_create_enum_value(lt, ((const uint8_t *)data)[row]);
    case DUCKDB_TYPE_USMALLINT:
        return duckdb_create_enum_value(lt, ((const uint16_t *)data)[row]);
    default:
        return duckdb_create_enum_value(lt, ((const uint32_t *)data)[row]);
    }
}

duckdb_value wdk_value(duckdb_logical_type lt, duckdb_vector v, idx_t row)
{
    duckdb_type type = duckdb_get_type_id(lt);
    void *data = duckdb_vector_get_data(v);
    duckdb_string_t s;

    if (type == DUCKDB_TYPE_SQLNULL ||
        !duckdb_validity_row_is_valid(duckdb_vector_get_validity(v), row))
        return duckdb_create_null_value();
    switch (type) {
    case DUCKDB_TYPE_VARCHAR:
        s = ((duckdb_string_t *)data)[row];
        if (memchr(duckdb_string_t_data(&s), 0, duckdb_string_t_length(s)) != NULL)
            return NULL; /* its text would end there */
        return duckdb_create_varchar_length(duckdb_string_t_data(&s), duckdb_string_t_length(s));
    case DUCKDB_TYPE_LIST:
        return list_value(lt, v, row);
    case DUCKDB_TYPE_ARRAY:
        return array_value(lt, v, row);
    case DUCKDB_TYPE_STRUCT:
        return struct_value(lt, v, row);
    case DUCKDB_TYPE_MAP:
        return map_value(lt, v, row);
    case DUCKDB_TYPE_UNION:
        return union_value(lt, v, row);
    case DUCKDB_TYPE_ENUM:
        return enum_value(lt, data, row);
    default:
        return wdk_scalar(lt, data, row);
    }
}
