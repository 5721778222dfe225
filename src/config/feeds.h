/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which source a connector's name means: its own, or that of the warehouse that takes its topics.
 * For connectors of a file and of a running service alike.
 */
#ifndef PENSTOCK_CONFIG_FEEDS_H
#define PENSTOCK_CONFIG_FEEDS_H

#include "config/config.h"

struct feed_end {
    const char *name;
    bool source; /* else a warehouse */
    const struct config *config;
};

/* Could the sink take some topic PREFIX.x of the source? NULL configs: no. */
bool config_feeds(const struct config *source, const struct config *sink);

/* *yes: a sink's `topics` or, where there are none, `topics.regex` hold the topic. Errors as
 * of config_selects. */
bool config_takes_topic(const struct config *sink, const char *topic, bool *yes, struct error *err);

/*
 * The index of the source connector that name means, -1 if there is none: ERROR_CONFIG for a name
 * that is not known (with the nearest) and for a warehouse that has not exactly one source.
 */
int feeds_source(const struct feed_end *ends, int n, const char *name, struct error *err);
/* The index of the warehouse that takes the topics of ends[source]; -1 if none does. */
int feeds_sink(const struct feed_end *ends, int n, int source);

#endif
