/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service: data.dir with its lock, registry, board, HTTP server and one pipeline per source
 * connector with its warehouse.
 */
#ifndef PENSTOCK_PIPELINE_SERVICE_H
#define PENSTOCK_PIPELINE_SERVICE_H

#include "config/file.h"
#include "pipeline/pipeline.h"

struct service;

struct service_options {
    bool once;
    bool fail_fast;
    bool next_free_port;
};

/* ERROR_CONFIG at once if data.dir or the port cannot be used. cfg is borrowed. */
bool service_start(struct service **out, const struct config_file *cfg,
                   const struct service_options *o, struct error *err);
int service_port(const struct service *s);
struct board *service_board(struct service *s);
/* True when every pipeline has ended by itself; with no pipeline never. */
bool service_ended(struct service *s);
bool service_live(struct service *s);
/* True if some pipeline owns what is at its source. When idle. */
bool service_started(struct service *s);
/* Does what people have asked of connectors since (board.h). Every second at least. */
void service_tend(struct service *s);
void service_stop(struct service *s);
void service_cancel(struct service *s);
/* True when every pipeline has ended (after a stop). */
bool service_idle(struct service *s);
/* Waits for the pipelines, frees all. False, with the first error, if one ended because of it. */
bool service_free(struct service *s, struct error *err);

#endif
