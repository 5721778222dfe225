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
    METRIC_SOURCE_LIMIT_BYTES,    /* penstock_source_retained_limit_bytes{connector} gauge */
    METRIC_SOURCE_SAFE_BYTES,     /* penstock_source_safe_bytes{connector} gauge */
    METRIC_SOURCE_LOG_BYTES,      /* penstock_source_log_bytes_total{connector} */
    METRIC_SOURCE_SECONDS_LEFT,   /* penstock_source_seconds_left{connector} gauge */
    METRIC_SOURCE_WARNING,        /* penstock_source_retained_warning{connector} gauge */
    /* penstock_source_changes_total{connector,op} */
    METRIC_CHANGES_INSERT,
    METRIC_CHANGES_UPDATE,
    METRIC_CHANGES_DELETE,
    METRIC_CHANGES_TRUNCATE,
    METRIC_SINK_ROWS,        /* penstock_sink_rows_total{connector}: rows merged or loaded */
    METRIC_SINK_BATCHES,     /* penstock_sink_batches_total{connector} */
    METRIC_SINK_BYTES,       /* penstock_sink_bytes_total{connector}: of events applied */
    METRIC_SINK_APPLY_US,    /* penstock_sink_apply_seconds_total{connector}, shown as seconds */
    METRIC_SINK_COMMIT_TIME, /* penstock_watermark_timestamp_seconds{connector} gauge, stored in
                                us: source commit time of the last commit in the warehouse */
    METRIC_SINK_NULLED,      /* penstock_values_nulled_total{connector} */
    METRIC_ROWS_WANTED,      /* penstock_rows_wanted{connector} gauge */
    METRIC_RESTARTS,         /* penstock_restarts_total{connector} */
    /* penstock_failures_total{connector,kind}, by the side that failed */
    METRIC_FAILURES_RETRY,
    METRIC_FAILURES_CONFIG,
    METRIC_FAILURES_DATA,
    METRIC_FAILURES_CONFLICT,
    METRIC_FAILURES_FATAL,
    METRIC_QUEUE_BYTES,        /* penstock_queue_bytes{connector} gauge */
    METRIC_VERIFY_TABLES,      /* penstock_verify_tables_total{connector} */
    METRIC_VERIFY_DIFFERENCES, /* penstock_verify_differences_total{connector} */
    METRIC_COUNT
};

void metric_add(enum metric m, const char *connector, int64_t n);
void metric_set(enum metric m, const char *connector, int64_t v);
/* It has no value any more: no series. */
void metric_unset(enum metric m, const char *connector);
/* One more of penstock_sink_commit_duration_seconds: a batch from its begin to its commit. */
void metric_observe_commit_us(const char *connector, int64_t us);
int64_t metric_get(enum metric m, const char *connector);

struct board;
/* Prometheus text format 0.0.4: these, what the board knows (states of tables and connectors,
 * freshness), penstock_info{version} and what is known of the process. */
void metrics_write(struct buf *out, struct board *b);

#endif
