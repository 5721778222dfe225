/* SPDX-License-Identifier: Apache-2.0 */
/* The table that /metrics and schemas/metrics.md are made of; open to tests. */
#ifndef PENSTOCK_METRICS_INTERNAL_H
#define PENSTOCK_METRICS_INTERNAL_H

#include "metrics/metrics.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* Not kept as values: computed when they are asked for. They follow METRIC_COUNT in the table. */
enum metric_fixed {
    METRIC_COMMIT_SECONDS = METRIC_COUNT,
    METRIC_FRESHNESS,
    METRIC_TASK_STATE,
    METRIC_TABLES,
    METRIC_TABLE_STATE,
    METRIC_TABLES_UNLISTED,
    METRIC_INFO,
    METRIC_RSS,
    METRIC_VIRTUAL,
    METRIC_CPU,
    METRIC_STARTED,
    METRIC_OPEN_FDS,
    METRIC_MAX_FDS,
    METRIC_FIXED_END
};

enum { METRIC_FIXED = METRIC_FIXED_END - METRIC_COUNT };

struct metric_row {
    const char *name;
    enum metric_type type;
    const char *labels; /* comma-separated */
    int64_t unit;       /* what a stored value is divided by when it is shown */
    const char *help;
    const char *value; /* of the second label, or NULL; rows of one family follow each other */
};

enum { METRIC_MAX_TABLES = 500 }; /* that have a series of their own */

extern const struct metric_row metric_table[METRIC_COUNT + METRIC_FIXED];

#endif
