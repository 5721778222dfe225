/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pipeline keeps one warehouse equal to one source: it loads what is not there, streams the log
 * from the checkpoint, and begins again from the checkpoint after whatever goes wrong.
 *
 * Threads: the connector's (orders everything, reads the source), the sink's (applies), snapshot
 * workers while tables are loaded. All state that matters is in the warehouse's books, so that
 * every recovery is the same: drop everything, read the books, go on.
 */
#ifndef PENSTOCK_PIPELINE_PIPELINE_H
#define PENSTOCK_PIPELINE_PIPELINE_H

#include "avro/registry.h"
#include "connectors.h"
#include "state/board.h"
#include "state/desk.h"
#include "state/requests.h"
#include "state/verifications.h"

struct pipeline;

struct pipeline_options {
    const char *source_name, *sink_name;
    const struct source_ops *source;
    const struct warehouse_ops *warehouse;
    const struct config *source_config, *sink_config, *service_config;
    struct registry *registry;
    struct board *board;
    struct requests *requests;           /* loads that people ask for; NULL with once */
    struct verifications *verifications; /* that people ask for; NULL as requests */
    struct desk *desk;                   /* where people's questions come in; may be NULL */
    const char *paused;                  /* as in pipeline_pause, from the start */
    bool once;                           /* load, then end; nothing stays at the source */
    bool fail_fast; /* an error before the first load or stream ends it (sync) */
};

/* Starts the connector's thread. Everything in o is borrowed until pipeline_free. */
bool pipeline_start(struct pipeline **out, const struct pipeline_options *o, struct error *err);
/* Asks it to end: what is complete is applied. Async-signal-unsafe; returns at once. */
void pipeline_stop(struct pipeline *p);
/*
 * What people want of it; returns at once. paused: the name of one of its connectors, borrowed: the
 * attempt ends as at a stop, and the next begins when it is NULL again. restart: the attempt ends,
 * the next begins at once, also where it had failed for good.
 */
void pipeline_pause(struct pipeline *p, const char *paused);
void pipeline_restart(struct pipeline *p);
/* Breaks off what is still running (its transaction rolls back). */
void pipeline_cancel(struct pipeline *p);
/* What it was started with. */
const struct pipeline_options *pipeline_options(const struct pipeline *p);
/* True when the thread has ended by itself or after a stop. */
bool pipeline_ended(struct pipeline *p);
/* Waits for the end and frees. False, with the error, if it ended because of one. */
bool pipeline_free(struct pipeline *p, struct error *err);
/* True once rows can be read: every table that can be is live. */
bool pipeline_live(struct pipeline *p);
/* Some attempt has got as far as to own what it made at the source. Once it has ended. */
bool pipeline_started(const struct pipeline *p);

#endif
