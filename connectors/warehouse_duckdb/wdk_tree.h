/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the syntax tree that DuckDB gives as JSON: for those who judge statements by it. */
#ifndef PENSTOCK_WDK_TREE_H
#define PENSTOCK_WDK_TREE_H

#include <jansson.h>
#include <stdbool.h>
#include <strings.h>

/* Names fold as DuckDB's do; the list ends in NULL. */
static inline bool tree_listed(const char *const *list, const char *name)
{
    while (*list != NULL && strcasecmp(*list, name) != 0)
        list++;
    return *list != NULL;
}

/* The string at key; "" if there is none. */
static inline const char *tree_text(const json_t *node, const char *key)
{
    const char *s = json_string_value(json_object_get(node, key));

    return s == NULL ? "" : s;
}

#endif
