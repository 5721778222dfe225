/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guard for the one shape of transaction that DuckDB 1.5 commits and then loses: rows of a table
 * are deleted or updated, then the table is renamed or altered. After a crash the replay of its
 * log brings the rows back without a word. The plans never make it; should one do so, the
 * statement is refused here. Tables are told apart by the name as it stands in the statement.
 */
#include "warehouse_duckdb/wdk.h"

#include <string.h>

/* A qualified name ends at the first blank that is not inside double quotes. */
static uint64_t name_hash(const char *p)
{
    uint64_t h = UINT64_C(14695981039346656037);
    bool quoted = false;

    for (; *p != '\0' && (quoted || (*p != ' ' && *p != '(')); p++) {
        if (*p == '"')
            quoted = !quoted;
        else
            h = (h ^ (uint8_t)*p) * UINT64_C(1099511628211);
    }
    return h;
}

/* What follows the keywords, or NULL. */
static const char *after(const char *sql, const char *keywords)
{
    size_t n = strlen(keywords);

    return strncmp(sql, keywords, n) == 0 ? sql + n : NULL;
}

static bool find(const struct buf *changed, uint64_t h)
{
    size_t i;

    for (i = 0; i < changed->len; i += sizeof(h)) {
        if (memcmp(changed->data + i, &h, sizeof(h)) == 0)
            return true;
    }
    return false;
}

void wdk_order_note(struct buf *changed, const char *sql)
{
    const char *name = after(sql, "DELETE FROM ");
    uint64_t h;

    if (name == NULL)
        name = after(sql, "UPDATE ");
    if (name == NULL || strncmp(name, "temp.", 5) == 0)
        return;
    h = name_hash(name);
    if (!find(changed, h))
        buf_append(changed, &h, sizeof(h));
}

bool wdk_order_allows(const struct buf *changed, const char *sql, struct error *err)
{
    const char *name = after(sql, "ALTER TABLE ");

    if (name == NULL || !find(changed, name_hash(name)))
        return true;
    return error_set(err, ERROR_FATAL,
                     "a table is altered after its rows were changed in the same transaction: "
                     "DuckDB %s would lose them after a crash",
                     duckdb_library_version());
}
