/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL 15 or later as a warehouse. */
#ifndef PENSTOCK_WAREHOUSE_POSTGRES_H
#define PENSTOCK_WAREHOUSE_POSTGRES_H

#include "load/warehouse.h"

extern const struct warehouse_ops warehouse_postgres_ops;

#endif
