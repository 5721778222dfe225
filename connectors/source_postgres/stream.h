/* SPDX-License-Identifier: Apache-2.0 */
/* The replication stream: START_REPLICATION, its messages, and what we acknowledge. */
#ifndef PENSTOCK_SOURCE_POSTGRES_STREAM_H
#define PENSTOCK_SOURCE_POSTGRES_STREAM_H

#include "source_postgres/source_postgres.h"

MUST_CHECK bool stream_start(struct source *s, const char *position,
                             const struct stream_table *tables, int n, struct error *err);
MUST_CHECK bool stream_table(struct source *s, const struct stream_table *t, struct source_point *p,
                             struct error *err);
MUST_CHECK bool stream_poll(struct source *s, int timeout_ms, const struct change_sink *sink,
                            bool *drained, struct error *err);
MUST_CHECK bool stream_tick(struct source *s, struct error *err);
void stream_stop(struct source *s);
void stream_acknowledge(struct source *s, const char *position);
int64_t stream_lag_bytes(struct source *s, const char *position);

int64_t stream_csn(struct source *s);

#endif
