/* SPDX-License-Identifier: Apache-2.0 */
/* The one static list of connectors, defined in connectors/connectors.c; each list ends in NULL. */
#ifndef PENSTOCK_CONNECTORS_H
#define PENSTOCK_CONNECTORS_H

#include "load/warehouse.h"
#include "source.h"

extern const struct source_ops *const connectors_sources[];
extern const struct warehouse_ops *const connectors_warehouses[];

/* By connector.class or alias; NULL if there is none. */
const struct source_ops *connectors_source(const char *class_name);
const struct warehouse_ops *connectors_warehouse(const char *class_name);

/* What main does if its only argument is WAREHOUSE_APART: returns the exit code. */
int connectors_apart(void);

#endif
