/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How near the source is to giving up the log that it keeps for us: how fast the log grows, how
 * long it lasts at that rate, and the levels at which people are warned. A level is entered at its
 * threshold and left only well below it, so that what sways around one is said once.
 *
 *   level  entered at                                        left below
 *   1      50 % of the room; wal_status extended             45 %
 *   2      80 %; less than an hour left                      75 %; two hours
 *   3      95 %; wal_status unreserved; lost                 90 %
 *
 * The room is what is kept and what may still be written, as the server counts it. The time counts
 * only once a tenth of the room is used: a slot that follows closely never gets there.
 */
#ifndef PENSTOCK_PIPELINE_RETENTION_H
#define PENSTOCK_PIPELINE_RETENTION_H

#include "source.h"

struct retention {
    int level;
    bool seen;
    int64_t log_bytes, at_ms; /* at the look before */
    double rate;              /* bytes a second; below 0: not known */
};

void retention_init(struct retention *r);
/* Another look at the source, at that time. */
void retention_saw(struct retention *r, const struct mark *m, int64_t now_ms);
/* Bytes of log a second; -1: not known yet. */
int64_t retention_rate(const struct retention *r);
/* Until the slot is lost if none of what is kept is let go; -1: no end in sight. */
int64_t retention_seconds_left(const struct retention *r, const struct mark *m);
/* Share of the room that is used, in percent; -1: there is no limit. */
int retention_percent(const struct mark *m);
/* The level as of now, which it keeps: 0..3. */
int retention_judge(struct retention *r, const struct mark *m);

#endif
