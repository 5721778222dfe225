/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fresh the warehouse is: the newest moment of which it is known that everything the source
 * had committed by then is in it. Two things tell: the commit time of what was applied last, and a
 * look at where the source's log ended at some moment, once all up to there has been read and
 * nothing of it waits. So an idle source is fresh; one that does not answer, a warehouse that is
 * away, and a stream that is behind grow older.
 *
 * Any thread.
 */
#ifndef PENSTOCK_PIPELINE_FRESH_H
#define PENSTOCK_PIPELINE_FRESH_H

#include "pipeline/internal.h"

/* At that time (us since 1970) the source's log ended there. */
void fresh_saw(struct pipeline *p, const char *end, int64_t us);
/* All up to that position is in the warehouse. */
void fresh_reached(struct pipeline *p, const char *position);
/* So is a transaction of that commit time, and all before it. */
void fresh_commit(struct pipeline *p, int64_t commit_us);
/* How old it is; INT64_MAX: not known. */
int64_t fresh_age_ms(struct pipeline *p);

#endif
