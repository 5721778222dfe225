/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heartbeat.action.query: a statement of the user's, run at the source every heartbeat.interval.ms
 * while the stream runs, in a session of its own. The stream neither waits for it nor fails with it.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_HEARTBEAT_H
#define PENSTOCK_SOURCE_POSTGRES_HEARTBEAT_H

#include "source_postgres/source_postgres.h"

struct heartbeat;

/* NULL where the settings ask for none; every function accepts it. */
struct heartbeat *heartbeat_new(const struct source *s);
void heartbeat_free(struct heartbeat *h);
/* Between polls of the stream: asks when it is time, takes the answer when it is there. */
void heartbeat_poll(struct heartbeat *h);
/* The session ends. */
void heartbeat_stop(struct heartbeat *h);

#endif
