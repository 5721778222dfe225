/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: one table row per metric (name, type, help, label) in metrics.c makes /metrics and the
 * list under schemas/. Values are 64-bit integers per metric and label value; thread-safe; called
 * per batch, not per row.
 */
#ifndef PENSTOCK_METRICS_METRICS_H
#define PENSTOCK_METRICS_METRICS_H

#include "util/buf.h"

enum metric {
    METRIC_SOURCE_EVENTS,         /* penstock_source_events_total{connector} */
    METRIC_SOURCE_BYTES,          /* penstock_source_bytes_total{connector}: encoded events */
    METRIC_SOURCE_TRANSACTIONS,   /* penstock_source_transactions_total{connector} */
    METRIC_SOURCE_LAG_BYTES,      /* penstock_source_lag_bytes{connector} gauge: log not yet in the
                                     warehouse's checkpoint */
    METRIC_SOURCE_RETAINED_BYTES, /* penstock_source_retained_bytes{connector} gauge */
    METRIC_SINK_ROWS,             /* penstock_sink_rows_total{connector}: rows merged or loaded */
    METRIC_SINK_BATCHES,          /* penstock_sink_batches_total{connector} */
    METRIC_SINK_APPLY_US,      /* penstock_sink_apply_seconds_total{connector}, shown as seconds */
    METRIC_SINK_COMMIT_TIME,   /* penstock_watermark_timestamp_seconds{connector} gauge, stored in
                                  us: source commit time of the last commit in the warehouse */
    METRIC_SINK_NULLED,        /* penstock_values_nulled_total{connector} */
    METRIC_ROWS_WANTED,        /* penstock_rows_wanted{connector} gauge */
    METRIC_RESTARTS,           /* penstock_restarts_total{connector} */
    METRIC_QUEUE_BYTES,        /* penstock_queue_bytes{connector} gauge */
    METRIC_VERIFY_TABLES,      /* penstock_verify_tables_total{connector} */
    METRIC_VERIFY_DIFFERENCES, /* penstock_verify_differences_total{connector} */
    METRIC_COUNT
};

void metric_add(enum metric m, const char *connector, int64_t n);
void metric_set(enum metric m, const char *connector, int64_t v);
int64_t metric_get(enum metric m, const char *connector);

struct board;
/* Prometheus text format 0.0.4: these, penstock_table_state{connector,table,state} and
 * penstock_info{version} from the board, process_resident_memory_bytes, process_cpu_seconds_total.
 */
void metrics_write(struct buf *out, struct board *b);

#endif
