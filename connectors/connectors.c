/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of what this build can read from and write to: a new connector is one line here. */
#include "connectors.h"

#include "source_postgres/source_postgres.h"
#include "warehouse_duckdb/warehouse_duckdb.h"
#include "warehouse_postgres/warehouse_postgres.h"

#include <strings.h>

const struct source_ops *const connectors_sources[] = {&source_postgres_ops, NULL};
const struct warehouse_ops *const connectors_warehouses[] = {&warehouse_duckdb_ops,
                                                             &warehouse_postgres_ops, NULL};

int connectors_apart(void)
{
    return warehouse_duckdb_apart();
}

static bool goes_by(const char *wanted, const char *name, const char *const *aliases)
{
    if (strcasecmp(wanted, name) == 0)
        return true;
    for (; aliases != NULL && *aliases != NULL; aliases++)
        if (strcasecmp(wanted, *aliases) == 0)
            return true;
    return false;
}

const struct source_ops *connectors_source(const char *class_name)
{
    for (int i = 0; connectors_sources[i] != NULL; i++)
        if (goes_by(class_name, connectors_sources[i]->name, connectors_sources[i]->aliases))
            return connectors_sources[i];
    return NULL;
}

const struct warehouse_ops *connectors_warehouse(const char *class_name)
{
    for (int i = 0; connectors_warehouses[i] != NULL; i++)
        if (goes_by(class_name, connectors_warehouses[i]->name, connectors_warehouses[i]->aliases))
            return connectors_warehouses[i];
    return NULL;
}
