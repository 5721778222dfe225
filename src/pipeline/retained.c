/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the source keeps for us and for whose sake, looked up every LOOK_MS on the connector's
 * thread: while it streams, while the sink holds it back, and while an attempt that the warehouse
 * has ended waits for the next. For people and metrics only: nothing here fails.
 */
#include "metrics/metrics.h"
#include "pipeline/internal.h"
#include "util/clock.h"
#include "util/log.h"

#include <stdio.h>

#define LOOK_MS 10000
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

void retained_look(struct pipeline *p, bool now)
{
    struct board_mark shown = {.name = p->identity.mark[0] != '\0' ? p->identity.mark : NULL};
    char by[600];
    struct error err;
    struct mark m;

    if (!now && clock_mono_ms() < p->look_ms)
        return;
    if (!p->o.source->mark_read(p->src, &m, &err)) {
        log_debug("what the source keeps is not known: %s", err.message);
        p->look_ms = clock_mono_ms() + LOOK_MS;
        return;
    }
    p->look_ms = clock_mono_ms() + LOOK_MS;
    if (m.state == MARK_MISSING)
        return;
    shown.retained_bytes = m.retained_bytes;
    shown.safe_bytes = m.safe_bytes;
    shown.pinned_by = pinned_by(p, &m, by, sizeof(by));
    board_set_mark(p->o.board, p->o.source_name, &shown);
    metric_set(METRIC_SOURCE_RETAINED_BYTES, p->o.source_name, m.retained_bytes);
    if (p->warehouse_failed[0] != '\0')
        metric_set(METRIC_SOURCE_LAG_BYTES, p->o.source_name, m.unconfirmed_bytes);
}
