/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table version <-> Avro schema text. The text is deterministic: the same table version gives the
 * same bytes, hence the same id in a registry. Names, field order and connect.* properties follow
 * Debezium 3's envelope as Confluent's AvroConverter writes it; every column of a Value carries
 * connect.parameters __debezium.source.column.name and __debezium.source.column.type (the
 * source's own name of the type), from which the sink makes the target.
 */
#ifndef PENSTOCK_AVRO_SCHEMA_H
#define PENSTOCK_AVRO_SCHEMA_H

#include "change/change.h"
#include "util/buf.h"

/*
 * The part of the envelope that differs per kind of source: record `source`.
 * schema_json: the complete JSON of that record type.
 * encode: appends its Avro binary; snapshot is "false", "first", "true", "last", ...
 */
struct event_meta;
struct source_block {
    const char *schema_json;
    void (*encode)(struct buf *out, const struct table *t, const struct event_meta *meta);
};

/* What the envelope says besides the row. */
struct event_meta {
    int64_t csn;
    const char *tx_id;             /* transaction.id; NULL: no transaction block (snapshot) */
    int64_t total_order;           /* 1.. within the transaction */
    int64_t data_collection_order; /* 1.. within the transaction and table */
    int64_t source_us;             /* commit time, us since 1970 */
    int64_t now_us;                /* processing time, us since 1970 */
    uint64_t xid;
    uint64_t lsn;
    uint64_t last_commit_lsn; /* 0: none yet */
    const char *server_name;  /* topic.prefix */
    const char *database;
    const char *snapshot; /* "false", "true", ... */
};

/* Each appends the schema's JSON text to out. avro_key_schema: only for tables with a key. */
void avro_value_schema(struct buf *out, const struct table *t, const struct source_block *block);
void avro_key_schema(struct buf *out, const struct table *t);

/*
 * A value of the column as the JSON of an Avro default (Avro specification, "Records"), in arena a;
 * NULL if it has no such form: NaN, an infinity, what could not be encoded.
 */
const char *avro_default(struct arena *a, const struct column *c, const struct value *v);

/*
 * The table that a value schema (and key schema; NULL or "" for none) describes, in arena a: true
 * names, kinds, keys. ERROR_DATA, naming the field, for what we cannot map.
 * schema and name come from the topic's true names carried as the parameters
 * __debezium.source.schema and __debezium.source.table of the Value record.
 */
bool avro_table(struct arena *a, const char *value_schema, const char *key_schema,
                struct table **out, struct error *err);

#endif
