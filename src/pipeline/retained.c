/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the source keeps for us and for whose sake, how long that lasts, and where its log ends,
 * looked up every LOOK_MS on the connector's thread: while it loads and streams, while the sink
 * holds it back, and while an attempt that the warehouse has ended waits for the next. For people
 * and metrics only: nothing here fails.
 */
#include "metrics/metrics.h"
#include "pipeline/fresh.h"
#include "util/clock.h"
#include "util/log.h"

#include <stdio.h>

#define LOOK_MS 10000
#define LOOK_IDLE_MS 2000 /* while no commits tell how fresh the warehouse is */
#define RETENTION_WORST 3
#define IDLE_BYTES ((int64_t)1024 * 1024) /* what an idle stream keeps is not worth a word */

/* Whose sake it is: the warehouse's, whose checkpoint is behind, or that of a transaction that is
 * still open, whose log must be there when it ends. */
static const char *pinned_by(const struct pipeline *p, const struct mark *m, char *out, size_t size)
{
    int64_t open = m->retained_bytes - m->unconfirmed_bytes;

    if (p->warehouse_failed[0] != '\0') {
        snprintf(out, size, "warehouse %s, which is not written to: %s", p->o.sink_name,
                 p->warehouse_failed);
        return out;
    }
    if (m->retained_bytes < IDLE_BYTES || m->unconfirmed_bytes < 0)
        return NULL;
    if (p->first_load) {
        snprintf(out, size, "the first load: the log is read once the tables are copied");
        return out;
    }
    if (m->unconfirmed_bytes >= open) {
        snprintf(out, size, "warehouse %s, which has not taken in %lld bytes of log yet",
                 p->o.sink_name, (long long)m->unconfirmed_bytes);
        return out;
    }
    snprintf(out, size, "%s%s",
             m->oldest[0] != '\0' ? "the oldest open transaction at the source: " : "",
             m->oldest[0] != '\0' ? m->oldest
                                  : "a transaction at the source that was open a moment ago");
    return out;
}

/* In one line for log and status: what is near, and what to do. */
static const char *warning(const struct pipeline *p, const struct mark *m,
                           const struct board_mark *shown, char *out, size_t size)
{
    int percent = retention_percent(m);
    char left[64] = "", used[64] = "";

    if (shown->warning_level == 0)
        return NULL;
    if (percent >= 0)
        snprintf(used, sizeof(used), ", %d %% of what the server allows", percent);
    if (shown->seconds_left >= 0)
        snprintf(left, sizeof(left), ", lost in about %lld s at this rate",
                 (long long)shown->seconds_left);
    snprintf(out, size, "slot %s keeps %lld bytes of log%s (wal_status %s)%s; to mend it: %s%s%s",
             p->identity.mark, (long long)m->retained_bytes, used, m->status, left,
             p->warehouse_failed[0] != '\0' ? "let the warehouse be written to again"
             : shown->pinned_by != NULL     ? "see to what it is kept for"
                                            : "let the stream catch up",
             percent < 0 ? ", watch the room on the source's disk"
                         : ", or give it time at the source: ALTER SYSTEM SET "
                           "max_slot_wal_keep_size = '...'; SELECT pg_reload_conf()",
             m->idle_left_s >= 0 ? ", and mind idle_replication_slot_timeout there" : "");
    return out;
}

/* Once for each level that is reached, and when all is well again. */
static void say_level(int was, const struct board_mark *shown)
{
    if (shown->warning_level > was)
        log_write(shown->warning_level == RETENTION_WORST ? LOG_ERROR : LOG_WARN,
                  "the source may lose log that is needed: %s pinned_by=\"%s\"", shown->warning,
                  shown->pinned_by != NULL ? shown->pinned_by : "");
    else if (shown->warning_level == 0 && was > 0)
        log_info("the source's log is in no danger any more slot=%s retained_bytes=%lld",
                 shown->name != NULL ? shown->name : "", (long long)shown->retained_bytes);
}

static void set_or_unset(enum metric m, const char *connector, int64_t v)
{
    if (v >= 0)
        metric_set(m, connector, v);
    else
        metric_unset(m, connector);
}

static void measure(const struct pipeline *p, const struct mark *m, const struct board_mark *shown)
{
    const char *name = p->o.source_name;

    set_or_unset(METRIC_SOURCE_RETAINED_BYTES, name, m->retained_bytes);
    set_or_unset(METRIC_SOURCE_LIMIT_BYTES, name, m->limit_bytes);
    set_or_unset(METRIC_SOURCE_SAFE_BYTES, name, m->safe_bytes);
    set_or_unset(METRIC_SOURCE_LOG_BYTES, name, m->log_bytes);
    set_or_unset(METRIC_SOURCE_SECONDS_LEFT, name, shown->seconds_left);
    metric_set(METRIC_SOURCE_WARNING, name, shown->warning_level);
    if (p->warehouse_failed[0] != '\0')
        metric_set(METRIC_SOURCE_LAG_BYTES, name, m->unconfirmed_bytes);
}

static void show(struct pipeline *p, const struct mark *m)
{
    struct board_mark shown = {.name = p->identity.mark[0] != '\0' ? p->identity.mark : NULL};
    int was = p->retention.level;
    char by[600], text[1200];

    retention_saw(&p->retention, m, clock_mono_ms());
    shown.retained_bytes = m->retained_bytes;
    shown.safe_bytes = m->safe_bytes;
    shown.limit_bytes = m->limit_bytes;
    shown.status = m->status;
    shown.pinned_by = pinned_by(p, m, by, sizeof(by));
    shown.log_rate = retention_rate(&p->retention);
    shown.seconds_left = retention_seconds_left(&p->retention, m);
    shown.warning_level = retention_judge(&p->retention, m);
    shown.warning = warning(p, m, &shown, text, sizeof(text));
    board_set_mark(p->o.board, p->o.source_name, &shown);
    say_level(was, &shown);
    measure(p, m, &shown);
}

void retained_look(struct pipeline *p, bool now)
{
    int64_t since = clock_mono_ms() - p->looked_ms, began;
    struct error err;
    struct mark m;

    if (!now && p->looked_ms > 0 &&
        since < (fresh_age_ms(p) < LOOK_IDLE_MS ? LOOK_MS : LOOK_IDLE_MS))
        return;
    began = clock_wall_us();
    if (!p->o.source->mark_read(p->src, &m, &err)) {
        log_debug("what the source keeps is not known: %s", err.message);
        p->looked_ms = clock_mono_ms();
        return;
    }
    p->looked_ms = clock_mono_ms();
    if (m.state == MARK_MISSING)
        return;
    fresh_saw(p, m.end, began);
    show(p, &m);
}
