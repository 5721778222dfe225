/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that send a request drop by drop, so as to keep all others out. */
#ifndef PENSTOCK_API_CONNECTIONS_H
#define PENSTOCK_API_CONNECTIONS_H

#include <microhttpd.h>
#include <stdbool.h>

struct connections;

/* With a thread of its own. NULL if that could not be started. */
struct connections *connections_new(void);
void connections_free(struct connections *c); /* accepts NULL; the daemon has stopped */

/* MHD_OPTION_NOTIFY_CONNECTION, with a struct connections as its context. */
void connections_notify(void *ctx, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code);
/* whole: the request is here, what follows takes as long as it takes. Else: the next one is waited
 * for, and has its time from now on. */
void connections_request(struct connections *c, struct MHD_Connection *connection, bool whole);

#endif
