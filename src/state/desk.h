/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where people's questions meet the open warehouses: the HTTP server asks by name, a pipeline says
 * when its warehouse is open and takes it back before it closes it. Thread-safe; bounds how many
 * questions are answered at once.
 */
#ifndef PENSTOCK_STATE_DESK_H
#define PENSTOCK_STATE_DESK_H

#include "load/warehouse.h"

enum { DESK_MAX = 4 }; /* questions at once, of all warehouses together */

struct desk;

struct desk *desk_new(void);
void desk_free(struct desk *d); /* accepts NULL; no question may be on its way */

/* Before any question: a sink connector of the service. name is borrowed. */
void desk_add(struct desk *d, const char *name, const struct warehouse_ops *ops);
/* The connectors' names, comma-separated, that can be asked; how many they are. */
int desk_names(struct desk *d, struct buf *out);

enum desk_known { DESK_UNKNOWN, DESK_NOT_ASKED, DESK_ASKED };
/* Whether there is such a connector, and one that can be asked. */
enum desk_known desk_find(struct desk *d, const char *name);

/* From now until desk_close, w may be asked. d may be NULL: nobody asks. */
void desk_open(struct desk *d, const char *name, struct warehouse *w);
/* Ends what is being asked and waits for it; after that, nobody uses the warehouse any more. */
void desk_close(struct desk *d, const char *name);

/* Questions that run now, in all of the process. Any thread, any time. */
int desk_asking(void);

/* A place for a question, to be given back. False: all are taken. */
bool desk_take(struct desk *d);
void desk_give(struct desk *d);
/* See warehouse_ops.ask; q->cancelled is set here. ASK_BUSY while the warehouse is not open. */
enum ask_outcome desk_ask(struct desk *d, const char *name, struct question *q, struct buf *json,
                          struct error *err);

#endif
