/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters and gauges in one table: a value per metric and connector, kept under one mutex (they
 * are touched per batch, not per row). Written in Prometheus' text exposition format 0.0.4;
 * label values are escaped as it asks (backslash, double quote, line feed). Connectors past
 * MAX_CONNECTORS share the label "other", so that memory is bounded.
 */
#include "metrics/metrics.h"

#include "metrics/internal.h"
#include "state/board.h"
#include "util/mem.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef PENSTOCK_VERSION
#define PENSTOCK_VERSION "0.0.0"
#endif

enum { MAX_CONNECTORS = 256 };

const struct metric_row metric_table[METRIC_COUNT + METRIC_FIXED] = {
    [METRIC_SOURCE_EVENTS] = {"penstock_source_events_total", METRIC_COUNTER, "connector", 1,
                              "Change events that the source connector encoded."},
    [METRIC_SOURCE_BYTES] = {"penstock_source_bytes_total", METRIC_COUNTER, "connector", 1,
                             "Bytes of encoded change events."},
    [METRIC_SOURCE_TRANSACTIONS] = {"penstock_source_transactions_total", METRIC_COUNTER,
                                    "connector", 1, "Source transactions that were read."},
    [METRIC_SOURCE_LAG_BYTES] = {"penstock_source_lag_bytes", METRIC_GAUGE, "connector", 1,
                                 "Bytes of the source's log that are not yet in the warehouse's "
                                 "checkpoint."},
    [METRIC_SOURCE_RETAINED_BYTES] = {"penstock_source_retained_bytes", METRIC_GAUGE, "connector",
                                      1, "Bytes of log that the source keeps for this connector."},
    [METRIC_SINK_ROWS] = {"penstock_sink_rows_total", METRIC_COUNTER, "connector", 1,
                          "Rows merged or loaded into the warehouse."},
    [METRIC_SINK_BATCHES] = {"penstock_sink_batches_total", METRIC_COUNTER, "connector", 1,
                             "Batches committed in the warehouse."},
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
    [METRIC_QUEUE_BYTES] = {"penstock_queue_bytes", METRIC_GAUGE, "connector", 1,
                            "Bytes of events waiting between source and sink."},
    [METRIC_VERIFY_TABLES] = {"penstock_verify_tables_total", METRIC_COUNTER, "connector", 1,
                              "Tables that were compared with the source's (penstock verify)."},
    [METRIC_VERIFY_DIFFERENCES] = {"penstock_verify_differences_total", METRIC_COUNTER, "connector",
                                   1,
                                   "Rows in which the warehouse was found to differ from the "
                                   "source (penstock verify)."},
    [METRIC_TABLE_STATE] = {"penstock_table_state", METRIC_GAUGE, "connector,table,state", 1,
                            "1 for the state that the table is in."},
    [METRIC_INFO] = {"penstock_info", METRIC_GAUGE, "version", 1, "Always 1; which build runs."},
    [METRIC_RSS] = {"process_resident_memory_bytes", METRIC_GAUGE, "", 1,
                    "Resident memory of the process in bytes."},
    [METRIC_CPU] = {"process_cpu_seconds_total", METRIC_COUNTER, "", 1000000,
                    "User and system CPU time of the process in seconds."},
};

struct series {
    char *connector;
    int64_t value[METRIC_COUNT];
    bool used[METRIC_COUNT];
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
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
               m->type == METRIC_COUNTER ? "counter" : "gauge");
}

static void write_value(struct buf *out, const struct metric_row *m, int64_t v)
{
    if (m->unit == 1)
        buf_printf(out, " %" PRId64 "\n", v);
    else
        buf_printf(out, " %s%" PRId64 ".%06" PRId64 "\n", v < 0 ? "-" : "",
                   (v < 0 ? -v : v) / m->unit, (v < 0 ? -v : v) % m->unit);
}

static void write_connectors(struct buf *out)
{
    pthread_mutex_lock(&lock);
    for (int m = 0; m < METRIC_COUNT; m++) {
        write_head(out, &metric_table[m]);
        for (int i = 0; i < nseries; i++) {
            if (!series[i].used[m])
                continue;
            buf_printf(out, "%s{", metric_table[m].name);
            write_label(out, "connector", series[i].connector);
            buf_puts(out, "}");
            write_value(out, &metric_table[m], series[i].value[m]);
        }
    }
    pthread_mutex_unlock(&lock);
}

static void write_tables(struct buf *out, struct board *b)
{
    const struct metric_row *m = &metric_table[METRIC_TABLE_STATE];
    struct arena *a = arena_new("metrics");
    struct board_table *tables;
    int n;

    board_tables(b, a, &tables, &n);
    write_head(out, m);
    for (int i = 0; i < n; i++) {
        for (int s = TABLE_LOADING; s <= TABLE_REFUSED; s++) {
            buf_printf(out, "%s{", m->name);
            write_label(out, "connector", tables[i].connector);
            buf_puts(out, ",");
            write_label(out, "table", arena_printf(a, "%s.%s", tables[i].schema, tables[i].name));
            buf_puts(out, ",");
            write_label(out, "state", table_state_name((enum table_state)s));
            buf_puts(out, "}");
            write_value(out, m, (int)tables[i].state == s);
        }
    }
    arena_free(a);
}

static int64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long pages = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    fclose(f);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static int64_t cpu_us(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static void write_process(struct buf *out, enum metric_fixed which, int64_t v)
{
    const struct metric_row *m = &metric_table[which];

    write_head(out, m);
    buf_puts(out, m->name);
    write_value(out, m, v);
}

void metrics_write(struct buf *out, struct board *b)
{
    write_connectors(out);
    write_tables(out, b);
    write_head(out, &metric_table[METRIC_INFO]);
    buf_printf(out, "%s{", metric_table[METRIC_INFO].name);
    write_label(out, "version", PENSTOCK_VERSION);
    buf_puts(out, "} 1\n");
    write_process(out, METRIC_RSS, resident_bytes());
    write_process(out, METRIC_CPU, cpu_us());
}
