/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, values and classes that Debezium, Kafka Connect and common sinks know and that have no
 * meaning here, each with the reason and what to write instead. A setting of the tables comes
 * first: this list is asked only about what they do not know. A trailing * stands for any rest.
 */
#include "config/config_internal.h"

#include <string.h>
#include <strings.h>

struct refusal {
    const char *name, *reason;
};

#define NOT_IN_THIS_VERSION "it is not part of this version"
#define IN_PROCESS "events travel in process, not over Kafka"
#define ONE_REGISTRY \
    "events are Avro under the service's one registry, service: schema.registry.url"
#define RETRIES "a lost connection is retried for as long as it takes, with back-off up to 30 s"
#define IN_WAREHOUSE \
    "the position stands in the warehouse, table penstock.checkpoints, written with the rows"
#define NO_SIGNALS "there are no signals; a table is loaded again when its state needs it"

static const struct refusal keys[] = {
    /* Kafka Connect, any connector */
    {"transforms", "single message transforms are not run here"},
    {"transforms.*", "single message transforms are not run here"},
    {"predicates", "single message transforms are not run here"},
    {"predicates.*", "single message transforms are not run here"},
    {"header.converter", "events have no headers in process"},
    {"key.converter.*", ONE_REGISTRY},
    {"value.converter.*", ONE_REGISTRY},
    {"config.providers", "${env:NAME} and ${file:/path:key} are always replaced"},
    {"config.providers.*", "${env:NAME} and ${file:/path:key} are always replaced"},
    {"bootstrap.servers", IN_PROCESS},
    {"kafka.*", IN_PROCESS},
    {"consumer.override.*", IN_PROCESS},
    {"producer.override.*", IN_PROCESS},
    {"topic.creation.*", IN_PROCESS},
    {"topic.naming.strategy", "topics are always PREFIX.SCHEMA.TABLE"},
    {"topic.heartbeat.prefix", IN_PROCESS},
    {"topic.transaction", IN_PROCESS},
    {"exactly.once.support", "every batch is applied exactly once, always"},
    {"transaction.boundary", "a batch always holds whole source transactions"},
    {"offset.*", IN_WAREHOUSE},
    {"offsets.storage.topic", IN_WAREHOUSE},
    {"errors.retry.timeout", RETRIES},
    {"errors.retry.delay.max.ms", RETRIES},
    {"errors.max.retries", RETRIES},
    {"retriable.restart.connector.wait.ms", RETRIES},
    {"max.retries", RETRIES},
    {"retry.backoff.ms", RETRIES},
    {"errors.log.enable", "every error is logged, with object names and without row values"},
    {"errors.log.include.messages", "row values never appear in the log"},
    {"errors.deadletterqueue.*",
     "a row that cannot be carried stops its table, and there is no dead letter queue"},
    {"dead.letter.*",
     "a row that cannot be carried stops its table, and there is no dead letter queue"},
    /* Debezium, sources */
    {"database.server.name", "it is called topic.prefix, as in Debezium since 2.0"},
    {"database.whitelist", "it is called table.include.list, as in Debezium since 2.0"},
    {"table.whitelist", "it is called table.include.list, as in Debezium since 2.0"},
    {"table.blacklist", "it is called table.exclude.list, as in Debezium since 2.0"},
    {"schema.include.list", "name a schema's tables in table.include.list: SCHEMA\\..*"},
    {"schema.exclude.list", "name a schema's tables in table.exclude.list: SCHEMA\\..*"},
    {"schema.whitelist", "name a schema's tables in table.include.list: SCHEMA\\..*"},
    {"schema.blacklist", "name a schema's tables in table.exclude.list: SCHEMA\\..*"},
    {"column.include.list", "all columns of a table are replicated"},
    {"column.exclude.list", "all columns of a table are replicated"},
    {"column.whitelist", "all columns of a table are replicated"},
    {"column.blacklist", "all columns of a table are replicated"},
    {"column.mask.*", "values are replicated as they are"},
    {"column.truncate.*", "values are never cut off"},
    {"column.propagate.source.type", "the source's types always travel with the schema"},
    {"datatype.propagate.source.type", "the source's types always travel with the schema"},
    {"column.type.override", NOT_IN_THIS_VERSION},
    {"message.key.columns", "the key is the table's primary key or replica identity"},
    {"heartbeat.topics.*", IN_PROCESS},
    {"max.batch.size", "the sink's batch.bytes bounds a batch, in bytes"},
    {"max.queue.size", "service: queue.bytes bounds the queue, in bytes"},
    {"max.queue.size.in.bytes", "service: queue.bytes bounds the queue"},
    {"poll.interval.ms", "changes are handed on as they arrive"},
    {"status.update.interval.ms", "the server is told the stored position every 10 s"},
    {"slot.max.retries", RETRIES},
    {"slot.retry.delay.ms", RETRIES},
    {"slot.stream.params", "the options of pgoutput are chosen by the server's version"},
    {"slot.failover", NOT_IN_THIS_VERSION},
    {"snapshot.fetch.size", "a copy reads whole chunks and holds one row at a time"},
    {"snapshot.delay.ms", "a load starts at once"},
    {"snapshot.lock.timeout.ms", "a copy takes no locks"},
    {"snapshot.isolation.mode", "a copy always sees one exact point"},
    {"snapshot.query.*", "whole tables are copied"},
    {"snapshot.select.*", "whole tables are copied"},
    {"snapshot.include.collection.list", "table.include.list says what is copied"},
    {"snapshot.tables.order.by.row.count", "tables are copied in parallel, by chunks"},
    {"snapshot.max.threads.*", "write snapshot.max.threads"},
    {"snapshot.mode.*", "write snapshot.mode"},
    {"incremental.snapshot.*", NO_SIGNALS},
    {"read.only", NO_SIGNALS},
    {"signal.*", NO_SIGNALS},
    {"notification.*", NO_SIGNALS},
    {"converters", "types are mapped as documented, without plug-ins"},
    {"unavailable.value.placeholder", "the event's field `unavailable` names such columns"},
    {"include.unknown.datatypes", "every type is carried, as text where there is no better"},
    {"include.schema.changes", "the source's schema changes are followed, not published"},
    {"include.schema.comments", "comments are not carried"},
    {"sanitize.field.names", "field names are always Avro names"},
    {"money.fraction.digits", "money is carried with the server's own number of digits"},
    {"flush.lsn.source", "only a position in the checkpoint is ever acknowledged"},
    {"xmin.fetch.interval.ms", "the field xmin is always null, which is Debezium's default"},
    {"query.fetch.size", "a copy reads whole chunks and holds one row at a time"},
    {"provide.transaction.metadata.*", "write provide.transaction.metadata"},
    {"schema.history.*", "schemas are kept in the warehouse with the checkpoint"},
    {"database.history.*", "schemas are kept in the warehouse with the checkpoint"},
    {"custom.metric.tags", "metrics carry the connector's name"},
    {"guardrail.*", "table.include.list says what is replicated"},
    {"connector.adapter", "there is one way to read this source"},
    /* JDBC sinks */
    {"connection.username", "it is called connection.user"},
    {"connection.provider", "the warehouse's own client library is used"},
    {"connection.pool.*", "each sink has its own few sessions"},
    {"connection.restart.on.errors", RETRIES},
    {"connection.attempts", RETRIES},
    {"connection.backoff.ms", RETRIES},
    {"hibernate.*", "the warehouse's own client library is used"},
    {"dialect.name", "connector.class says what the warehouse is"},
    {"database.time_zone", "instants are stored as instants"},
    {"use.time.zone", "instants are stored as instants"},
    {"db.timezone", "instants are stored as instants"},
    {"quote.identifiers", "identifiers are always quoted"},
    {"quote.sql.identifiers", "identifiers are always quoted"},
    {"primary.key.fields", "the key is the source table's key"},
    {"pk.fields", "the key is the source table's key"},
    {"field.include.list", "all columns of a table are replicated"},
    {"field.exclude.list", "all columns of a table are replicated"},
    {"fields.whitelist", "all columns of a table are replicated"},
    {"truncate.enabled", "a TRUNCATE of the source is always applied"},
    {"collection.name.format", "the target of a table is always SCHEMA.TABLE"},
    {"table.naming.strategy", "the target of a table is always SCHEMA.TABLE"},
    {"column.naming.strategy", "columns keep their names"},
    {"use.reduction.buffer", "a batch is always compacted to one change per key"},
    {"flush.max.retries", RETRIES},
    {"flush.retry.delay.ms", RETRIES},
    {"batch.size", "batch.bytes bounds a batch, in bytes"},
    {"merge.strategy", NOT_IN_THIS_VERSION},
    {"publish.*", NOT_IN_THIS_VERSION},
    {NULL, NULL},
};

static const struct {
    const char *key, *value, *reason;
} values[] = {
    {"transport", "kafka", "Kafka between source and sink is not part of this version"},
    {"schema.registry.url", "http*", "an external registry is not part of this version"},
    {"snapshot.mode", "always",
     "a table is copied once, and again when its state needs it, not at every start"},
    {"snapshot.mode", "schema_only", "it is called no_data, as in Debezium since 2.7"},
    {"snapshot.mode", "configuration_based", "the other values say what it would"},
    {"snapshot.mode", "custom", "no code is loaded at run time"},
    {"snapshot.mode", "exported", "every load is made from an exported snapshot: write initial"},
    {"value.overflow.mode", "widen", "widening a column by itself is not part of this version"},
    {"key.converter", "*", "events are Avro; other converters are not part of this version"},
    {"value.converter", "*", "events are Avro; other converters are not part of this version"},
    {"errors.tolerance", "all", "a row that cannot be carried stops its table; none is skipped"},
    {"tombstones.on.delete", "true", "in process a deletion is one event, without a tombstone"},
    {"skipped.operations", "*", "every operation reaches the warehouse, TRUNCATE too"},
    {"delete.enabled", "false",
     "the warehouse is kept equal to the source, which includes deletions"},
    {NULL, NULL, NULL},
};

static const struct refusal classes[] = {
    {"mysql", "the MySQL source is not part of this version"},
    {"mariadb", "the MariaDB source is not part of this version"},
    {"io.debezium.connector.mysql.*", "the MySQL source is not part of this version"},
    {"io.debezium.connector.mariadb.*", "the MariaDB source is not part of this version"},
    {"io.debezium.connector.jdbc.*", "write the warehouse's own class: duckdb, postgres-warehouse"},
    {"io.confluent.connect.jdbc.*", "write the warehouse's own class: duckdb, postgres-warehouse"},
    {"io.debezium.connector.*", "there is no source for that database"},
    {"snowflake", "the Snowflake warehouse is not part of this version"},
    {"com.snowflake.*", "the Snowflake warehouse is not part of this version"},
    {"bigquery", "the BigQuery warehouse is not part of this version"},
    {"com.wepay.*", "the BigQuery warehouse is not part of this version"},
    {"redshift", "the Redshift warehouse is not part of this version"},
    {"databricks", "the Databricks warehouse is not part of this version"},
    {NULL, NULL},
};

static bool fits(const char *pattern, const char *text)
{
    size_t n = strlen(pattern);

    if (n > 0 && pattern[n - 1] == '*')
        return strncasecmp(pattern, text, n - 1) == 0;
    return strcasecmp(pattern, text) == 0;
}

static const char *look_up(const struct refusal *list, const char *name)
{
    for (; list->name != NULL; list++)
        if (fits(list->name, name))
            return list->reason;
    return NULL;
}

const char *config_refused_key(const char *key)
{
    return look_up(keys, key);
}

const char *config_refused_class(const char *class_name)
{
    return look_up(classes, class_name);
}

const char *config_refused_value(const char *key, const char *value)
{
    for (size_t i = 0; values[i].key != NULL; i++)
        if (strcmp(values[i].key, key) == 0 && fits(values[i].value, value))
            return values[i].reason;
    return NULL;
}
