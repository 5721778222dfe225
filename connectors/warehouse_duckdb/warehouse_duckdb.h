/* SPDX-License-Identifier: Apache-2.0 */
/* DuckDB as a warehouse: a file in this process (connector.class duckdb). */
#ifndef PENSTOCK_WAREHOUSE_DUCKDB_H
#define PENSTOCK_WAREHOUSE_DUCKDB_H

#include "load/warehouse.h"

extern const struct warehouse_ops warehouse_duckdb_ops;

/* See connectors_apart. */
int warehouse_duckdb_apart(void);

#endif
