/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event's `source` record, io.debezium.connector.postgresql.Source as Debezium 3 writes it.
 * txId, lsn and sequence are null where they are 0 (rows of a snapshot); xmin always is.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_SOURCE_BLOCK_H
#define PENSTOCK_SOURCE_POSTGRES_SOURCE_BLOCK_H

#include "avro/schema.h"

extern const struct source_block source_postgres_block;

#endif
