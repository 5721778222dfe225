/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/retention.h"

#include <string.h>

#define SMOOTH_S 30.0 /* the rate forgets in about this time */
#define MIN_MS 500    /* two looks closer than this tell nothing */
#define HOUR_S 3600
#define TIME_COUNTS_FROM 10 /* percent */

void retention_init(struct retention *r)
{
    memset(r, 0, sizeof(*r));
    r->rate = -1;
}

void retention_saw(struct retention *r, const struct mark *m, int64_t now_ms)
{
    double seconds = (double)(now_ms - r->at_ms) / 1000, now;

    if (m->log_bytes < 0 || (r->seen && now_ms - r->at_ms < MIN_MS))
        return;
    if (r->seen && m->log_bytes >= r->log_bytes) { /* else another server's log */
        now = (double)(m->log_bytes - r->log_bytes) / seconds;
        r->rate = r->rate < 0 ? now : r->rate + (now - r->rate) * (seconds / (seconds + SMOOTH_S));
    }
    r->seen = true;
    r->log_bytes = m->log_bytes;
    r->at_ms = now_ms;
}

int64_t retention_rate(const struct retention *r)
{
    return r->rate < 0 ? -1 : (int64_t)r->rate;
}

int64_t retention_seconds_left(const struct retention *r, const struct mark *m)
{
    int64_t left = m->idle_left_s;

    if (m->safe_bytes >= 0 && r->rate >= 1) {
        double full = (double)m->safe_bytes / r->rate;

        if (full < 1e12 && (left < 0 || full < (double)left))
            left = (int64_t)full;
    }
    return left;
}

int retention_percent(const struct mark *m)
{
    if (m->safe_bytes < 0 || m->retained_bytes < 0)
        return -1;
    if (m->retained_bytes + m->safe_bytes == 0)
        return 0;
    return (int)((double)m->retained_bytes * 100 /
                 ((double)m->retained_bytes + (double)m->safe_bytes));
}

/* Percent and seconds from which a level holds; ease: of one that holds already. */
static int level_of(const struct mark *m, int64_t left, int percent, int ease, int64_t hour)
{
    bool soon = left >= 0 && left < hour && percent >= TIME_COUNTS_FROM;

    if (m->state == MARK_LOST || percent >= 95 - ease || strcmp(m->status, "unreserved") == 0 ||
        strcmp(m->status, "lost") == 0)
        return 3;
    if (percent >= 80 - ease || soon || (m->idle_left_s >= 0 && m->idle_left_s < hour))
        return 2;
    return percent >= 50 - ease || strcmp(m->status, "extended") == 0 ? 1 : 0;
}

int retention_judge(struct retention *r, const struct mark *m)
{
    int64_t left = retention_seconds_left(r, m);
    int percent = retention_percent(m);
    int enter = level_of(m, left, percent, 0, HOUR_S);
    int stay = level_of(m, left, percent, 5, (int64_t)2 * HOUR_S);

    if (enter > r->level)
        r->level = enter;
    else if (stay < r->level)
        r->level = stay > enter ? stay : enter;
    return r->level;
}
