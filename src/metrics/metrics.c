/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters and gauges in one table: a value per metric and connector, kept under one mutex (they
 * are touched per batch, not per row). Written in Prometheus' text exposition format 0.0.4;
 * label values are escaped as it asks (backslash, double quote, line feed). Connectors past
 * MAX_CONNECTORS share the label "other", so that memory is bounded.
 */
#include "metrics/metrics.h"

#include "metrics/internal.h"
#include "metrics/process.h"
#include "state/board.h"
#include "util/clock.h"
#include "util/mem.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#ifndef PENSTOCK_VERSION
#define PENSTOCK_VERSION "0.0.0"
#endif

enum { MAX_CONNECTORS = 256 };

#define CHANGES                                                         \
    "penstock_source_changes_total", METRIC_COUNTER, "connector,op", 1, \
        "Changes of rows that were read from the source's log, by what they do."
#define FAILURES                                                    \
    "penstock_failures_total", METRIC_COUNTER, "connector,kind", 1, \
        "Failures that ended an attempt, by the connector they are put down to and their kind."

const struct metric_row metric_table[METRIC_COUNT + METRIC_FIXED] = {
    [METRIC_SOURCE_EVENTS] = {"penstock_source_events_total", METRIC_COUNTER, "connector", 1,
                              "Change events that the source connector encoded."},
    [METRIC_SOURCE_BYTES] = {"penstock_source_bytes_total", METRIC_COUNTER, "connector", 1,
                             "Bytes of encoded change events."},
    [METRIC_SOURCE_TRANSACTIONS] = {"penstock_source_transactions_total", METRIC_COUNTER,
                                    "connector", 1, "Source transactions that were read."},
    [METRIC_SOURCE_LAG_BYTES] = {"penstock_source_lag_bytes", METRIC_GAUGE, "connector", 1,
                                 "Bytes of the source's log that are not yet known to be in the "
                                 "warehouse."},
    [METRIC_SOURCE_RETAINED_BYTES] = {"penstock_source_retained_bytes", METRIC_GAUGE, "connector",
                                      1, "Bytes of log that the source keeps for this connector."},
    [METRIC_SOURCE_LIMIT_BYTES] = {"penstock_source_retained_limit_bytes", METRIC_GAUGE,
                                   "connector", 1,
                                   "Bytes of log that the source keeps at most for this connector "
                                   "(max_slot_wal_keep_size); no series where it has no limit."},
    [METRIC_SOURCE_SAFE_BYTES] = {"penstock_source_safe_bytes", METRIC_GAUGE, "connector", 1,
                                  "Bytes of log that may still be written before the source gives "
                                  "up what is needed; no series where it has no limit."},
    [METRIC_SOURCE_LOG_BYTES] = {"penstock_source_log_bytes_total", METRIC_COUNTER, "connector", 1,
                                 "Bytes of log that the source's server has ever written: its rate "
                                 "is how fast the log grows."},
    [METRIC_SOURCE_SECONDS_LEFT] = {"penstock_source_seconds_left", METRIC_GAUGE, "connector", 1,
                                    "Seconds until the source gives up log that is needed, if "
                                    "nothing of it is let go and it grows as now; no series where "
                                    "no end is in sight."},
    [METRIC_SOURCE_WARNING] = {"penstock_source_retained_warning", METRIC_GAUGE, "connector", 1,
                               "How near that is: 0 not, 1 half of the limit, 2 80 % or an hour, 3 "
                               "95 % or lost."},
    [METRIC_CHANGES_INSERT] = {CHANGES, "insert"},
    [METRIC_CHANGES_UPDATE] = {CHANGES, "update"},
    [METRIC_CHANGES_DELETE] = {CHANGES, "delete"},
    [METRIC_CHANGES_TRUNCATE] = {CHANGES, "truncate"},
    [METRIC_SINK_ROWS] = {"penstock_sink_rows_total", METRIC_COUNTER, "connector", 1,
                          "Rows merged or loaded into the warehouse."},
    [METRIC_SINK_BATCHES] = {"penstock_sink_batches_total", METRIC_COUNTER, "connector", 1,
                             "Batches committed in the warehouse."},
    [METRIC_SINK_BYTES] = {"penstock_sink_bytes_total", METRIC_COUNTER, "connector", 1,
                           "Bytes of change events that batches took in."},
    [METRIC_SINK_APPLY_US] = {"penstock_sink_apply_seconds_total", METRIC_COUNTER, "connector",
                              1000000, "Seconds spent applying batches."},
    [METRIC_SINK_COMMIT_TIME] = {"penstock_watermark_timestamp_seconds", METRIC_GAUGE, "connector",
                                 1000000,
                                 "Source commit time, in seconds since 1970, of the last "
                                 "transaction that is in the warehouse."},
    [METRIC_SINK_NULLED] = {"penstock_values_nulled_total", METRIC_COUNTER, "connector", 1,
                            "Values that their column cannot hold, stored as NULL "
                            "(value.overflow.mode: null)."},
    [METRIC_ROWS_WANTED] = {"penstock_rows_wanted", METRIC_GAUGE, "connector", 1,
                            "Rows missing in the warehouse because the log did not carry all of "
                            "them, until they have been read at the source again."},
    [METRIC_RESTARTS] = {"penstock_restarts_total", METRIC_COUNTER, "connector", 1,
                         "Times that a connector's task started again after a failure."},
    [METRIC_FAILURES_RETRY] = {FAILURES, "retry"},
    [METRIC_FAILURES_CONFIG] = {FAILURES, "configuration"},
    [METRIC_FAILURES_DATA] = {FAILURES, "data"},
    [METRIC_FAILURES_CONFLICT] = {FAILURES, "conflict"},
    [METRIC_FAILURES_FATAL] = {FAILURES, "fatal"},
    [METRIC_QUEUE_BYTES] = {"penstock_queue_bytes", METRIC_GAUGE, "connector", 1,
                            "Bytes of events waiting between source and sink."},
    [METRIC_VERIFY_TABLES] = {"penstock_verify_tables_total", METRIC_COUNTER, "connector", 1,
                              "Tables that were compared with the source's (penstock verify)."},
    [METRIC_VERIFY_DIFFERENCES] = {"penstock_verify_differences_total", METRIC_COUNTER, "connector",
                                   1,
                                   "Rows in which the warehouse was found to differ from the "
                                   "source (penstock verify)."},
    [METRIC_COMMIT_SECONDS] = {"penstock_sink_commit_duration_seconds", METRIC_HISTOGRAM,
                               "connector", 1,
                               "How long batches took, from their first statement to the commit."},
    [METRIC_FRESHNESS] = {"penstock_freshness_seconds", METRIC_GAUGE, "connector", 1000000,
                          "Age of the newest moment of which it is known that everything the "
                          "source had committed by then is in the warehouse. It grows while the "
                          "source or the warehouse cannot be reached; no series before it is "
                          "known."},
    [METRIC_TASK_STATE] = {"penstock_connector_state", METRIC_GAUGE, "connector,state", 1,
                           "1 for the state that the connector's task is in."},
    [METRIC_TABLES] = {"penstock_tables", METRIC_GAUGE, "connector,state", 1,
                       "Tables of a source that are in the state."},
    [METRIC_TABLE_STATE] = {"penstock_table_state", METRIC_GAUGE, "connector,table,state", 1,
                            "1 for the state that the table is in. At most 500 tables have "
                            "series, those first that are not live; the others count as "
                            "penstock_tables_unlisted."},
    [METRIC_TABLES_UNLISTED] = {"penstock_tables_unlisted", METRIC_GAUGE, "", 1,
                                "Tables without series of their own in penstock_table_state."},
    [METRIC_INFO] = {"penstock_info", METRIC_GAUGE, "version", 1, "Always 1; which build runs."},
    [METRIC_RSS] = {"process_resident_memory_bytes", METRIC_GAUGE, "", 1,
                    "Resident memory of the process in bytes."},
    [METRIC_VIRTUAL] = {"process_virtual_memory_bytes", METRIC_GAUGE, "", 1,
                        "Virtual memory of the process in bytes."},
    [METRIC_CPU] = {"process_cpu_seconds_total", METRIC_COUNTER, "", 1000000,
                    "User and system CPU time of the process in seconds."},
    [METRIC_STARTED] = {"process_start_time_seconds", METRIC_GAUGE, "", 1000000,
                        "When the process started, in seconds since 1970."},
    [METRIC_OPEN_FDS] = {"process_open_fds", METRIC_GAUGE, "", 1,
                         "File descriptors that the process has open."},
    [METRIC_MAX_FDS] = {"process_max_fds", METRIC_GAUGE, "", 1,
                        "File descriptors that the process may have open."},
};

/* Upper bounds of the histogram's buckets, in us, and as they are shown. */
static const struct {
    int64_t us;
    const char *text;
} bounds[] = {{1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},
              {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"},
              {500000, "0.5"},  {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},
              {10000000, "10"}, {30000000, "30"}, {60000000, "60"}};

enum { NBOUNDS = sizeof(bounds) / sizeof(bounds[0]) };

struct series {
    char *connector;
    int64_t value[METRIC_COUNT];
    bool used[METRIC_COUNT];
    int64_t buckets[NBOUNDS + 1]; /* of commits, each by itself */
    int64_t commits, commit_us;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct series series[MAX_CONNECTORS];
static int nseries;

/* The lock is held. NULL if there is none and make is false. */
static struct series *series_of(const char *connector, bool make)
{
    for (int i = 0; i < nseries; i++) {
        if (strcmp(series[i].connector, connector) == 0)
            return &series[i];
    }
    if (!make)
        return NULL;
    if (nseries == MAX_CONNECTORS - 1)
        connector = "other";
    if (nseries == MAX_CONNECTORS)
        return &series[MAX_CONNECTORS - 1];
    series[nseries].connector = mem_strdup(connector);
    return &series[nseries++];
}

static void change(enum metric m, const char *connector, int64_t n, bool add)
{
    struct series *s;

    pthread_mutex_lock(&lock);
    s = series_of(connector ? connector : "", true);
    s->value[m] = add ? s->value[m] + n : n;
    s->used[m] = true;
    pthread_mutex_unlock(&lock);
}

void metric_add(enum metric m, const char *connector, int64_t n)
{
    change(m, connector, n, true);
}

void metric_set(enum metric m, const char *connector, int64_t v)
{
    change(m, connector, v, false);
}

void metric_unset(enum metric m, const char *connector)
{
    struct series *s;

    pthread_mutex_lock(&lock);
    s = series_of(connector ? connector : "", false);
    if (s != NULL)
        s->used[m] = false;
    pthread_mutex_unlock(&lock);
}

void metric_observe_commit_us(const char *connector, int64_t us)
{
    struct series *s;
    int i;

    pthread_mutex_lock(&lock);
    s = series_of(connector ? connector : "", true);
    for (i = 0; i < NBOUNDS && us > bounds[i].us; i++)
        ;
    s->buckets[i]++;
    s->commits++;
    s->commit_us += us;
    pthread_mutex_unlock(&lock);
}

int64_t metric_get(enum metric m, const char *connector)
{
    const struct series *s;
    int64_t v;

    pthread_mutex_lock(&lock);
    s = series_of(connector ? connector : "", false);
    v = s ? s->value[m] : 0;
    pthread_mutex_unlock(&lock);
    return v;
}

static void write_label(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s=\"", name);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\n')
            buf_puts(out, "\\n");
        else if (*p == '"' || *p == '\\')
            buf_printf(out, "\\%c", *p);
        else
            buf_u8(out, (uint8_t)*p);
    }
    buf_puts(out, "\"");
}

static void write_head(struct buf *out, const struct metric_row *m)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};

    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, types[m->type]);
}

static void write_value(struct buf *out, const struct metric_row *m, int64_t v)
{
    if (m->unit == 1)
        buf_printf(out, " %" PRId64 "\n", v);
    else
        buf_printf(out, " %s%" PRId64 ".%06" PRId64 "\n", v < 0 ? "-" : "",
                   (v < 0 ? -v : v) / m->unit, (v < 0 ? -v : v) % m->unit);
}

/* "op" of "connector,op" */
static const char *second_label(const struct metric_row *m)
{
    return strchr(m->labels, ',') + 1;
}

static void write_connectors(struct buf *out)
{
    pthread_mutex_lock(&lock);
    for (int m = 0; m < METRIC_COUNT; m++) {
        const struct metric_row *row = &metric_table[m];

        if (m == 0 || strcmp(row->name, row[-1].name) != 0)
            write_head(out, row);
        for (int i = 0; i < nseries; i++) {
            if (!series[i].used[m])
                continue;
            buf_printf(out, "%s{", row->name);
            write_label(out, "connector", series[i].connector);
            if (row->value != NULL) {
                buf_puts(out, ",");
                write_label(out, second_label(row), row->value);
            }
            buf_puts(out, "}");
            write_value(out, row, series[i].value[m]);
        }
    }
    pthread_mutex_unlock(&lock);
}

static void write_bucket(struct buf *out, const struct metric_row *m, const struct series *s,
                         const char *le, int64_t n)
{
    buf_printf(out, "%s_bucket{", m->name);
    write_label(out, "connector", s->connector);
    buf_puts(out, ",");
    write_label(out, "le", le);
    buf_printf(out, "} %" PRId64 "\n", n);
}

static void write_histogram(struct buf *out)
{
    const struct metric_row *m = &metric_table[METRIC_COMMIT_SECONDS];

    pthread_mutex_lock(&lock);
    write_head(out, m);
    for (int i = 0; i < nseries; i++) {
        const struct series *s = &series[i];
        int64_t n = 0;

        if (s->commits == 0)
            continue;
        for (int k = 0; k < NBOUNDS; k++) {
            n += s->buckets[k];
            write_bucket(out, m, s, bounds[k].text, n);
        }
        write_bucket(out, m, s, "+Inf", s->commits);
        buf_printf(out, "%s_sum{", m->name);
        write_label(out, "connector", s->connector);
        buf_printf(out, "} %" PRId64 ".%06" PRId64 "\n%s_count{", s->commit_us / 1000000,
                   s->commit_us % 1000000, m->name);
        write_label(out, "connector", s->connector);
        buf_printf(out, "} %" PRId64 "\n", s->commits);
    }
    pthread_mutex_unlock(&lock);
}

static void write_state(struct buf *out, const struct metric_row *m, const char *connector,
                        const char *state, int64_t v)
{
    buf_printf(out, "%s{", m->name);
    write_label(out, "connector", connector);
    buf_puts(out, ",");
    write_label(out, "state", state);
    buf_puts(out, "}");
    write_value(out, m, v);
}

static void write_freshness(struct buf *out, const struct board_connector *c, int n)
{
    const struct metric_row *m = &metric_table[METRIC_FRESHNESS];
    int64_t now = clock_wall_us();

    write_head(out, m);
    for (int i = 0; i < n; i++) {
        if (c[i].fresh_us == 0)
            continue;
        buf_printf(out, "%s{", m->name);
        write_label(out, "connector", c[i].name);
        buf_puts(out, "}");
        write_value(out, m, now > c[i].fresh_us ? now - c[i].fresh_us : 0);
    }
}

static void write_tasks(struct buf *out, const struct board_connector *c, int n)
{
    const struct metric_row *m = &metric_table[METRIC_TASK_STATE];

    write_head(out, m);
    for (int i = 0; i < n; i++) {
        for (int s = CONNECTOR_UNASSIGNED; s <= CONNECTOR_STOPPED; s++)
            write_state(out, m, c[i].name, connector_state_name((enum connector_state)s),
                        (int)c[i].task == s);
    }
}

/* How many of each source's tables are in each state. */
static void write_counts(struct buf *out, const struct board_connector *c, int n,
                         const struct board_table *t, int nt)
{
    const struct metric_row *m = &metric_table[METRIC_TABLES];

    write_head(out, m);
    for (int i = 0; i < n; i++) {
        int counts[TABLE_REFUSED + 1] = {0};

        for (int k = 0; k < nt; k++)
            counts[t[k].state] += strcmp(t[k].connector, c[i].name) == 0;
        for (int s = TABLE_LOADING; c[i].source && s <= TABLE_REFUSED; s++)
            write_state(out, m, c[i].name, table_state_name((enum table_state)s), counts[s]);
    }
}

static void write_table(struct buf *out, struct arena *a, const struct board_table *t)
{
    const struct metric_row *m = &metric_table[METRIC_TABLE_STATE];

    for (int s = TABLE_LOADING; s <= TABLE_REFUSED; s++) {
        buf_printf(out, "%s{", m->name);
        write_label(out, "connector", t->connector);
        buf_puts(out, ",");
        write_label(out, "table", arena_printf(a, "%s.%s", t->schema, t->name));
        buf_puts(out, ",");
        write_label(out, "state", table_state_name((enum table_state)s));
        buf_puts(out, "}");
        write_value(out, m, (int)t->state == s);
    }
}

/* Those that are not live first: they are what somebody looks for. */
static void write_tables(struct buf *out, struct arena *a, const struct board_table *t, int n)
{
    int left = METRIC_MAX_TABLES;

    write_head(out, &metric_table[METRIC_TABLE_STATE]);
    for (int live = 0; live < 2; live++) {
        for (int i = 0; left > 0 && i < n; i++) {
            if ((t[i].state == TABLE_LIVE) == live) {
                write_table(out, a, &t[i]);
                left--;
            }
        }
    }
    write_head(out, &metric_table[METRIC_TABLES_UNLISTED]);
    buf_printf(out, "%s %d\n", metric_table[METRIC_TABLES_UNLISTED].name,
               n > METRIC_MAX_TABLES ? n - METRIC_MAX_TABLES : 0);
}

static void write_board(struct buf *out, struct board *b)
{
    struct arena *a = arena_new("metrics");
    struct board_connector *c;
    struct board_table *t;
    int n, nt;

    board_connectors(b, a, &c, &n);
    board_tables(b, a, &t, &nt);
    write_freshness(out, c, n);
    write_tasks(out, c, n);
    write_counts(out, c, n, t, nt);
    write_tables(out, a, t, nt);
    arena_free(a);
}

/* Without labels. */
static void write_process(struct buf *out, enum metric_fixed which, int64_t v)
{
    const struct metric_row *m = &metric_table[which];

    write_head(out, m);
    buf_puts(out, m->name);
    write_value(out, m, v);
}

void metrics_write(struct buf *out, struct board *b)
{
    struct process_facts p;

    write_connectors(out);
    write_histogram(out);
    write_board(out, b);
    write_head(out, &metric_table[METRIC_INFO]);
    buf_printf(out, "%s{", metric_table[METRIC_INFO].name);
    write_label(out, "version", PENSTOCK_VERSION);
    buf_puts(out, "} 1\n");
    process_look(&p);
    write_process(out, METRIC_RSS, p.resident_bytes);
    write_process(out, METRIC_VIRTUAL, p.virtual_bytes);
    write_process(out, METRIC_CPU, p.cpu_us);
    write_process(out, METRIC_STARTED, p.started_us);
    write_process(out, METRIC_OPEN_FDS, p.open_fds);
    write_process(out, METRIC_MAX_FDS, p.max_fds);
}
