/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server (libmicrohttpd), its own thread(s). One resource a file under src/api. */
#ifndef PENSTOCK_API_HTTP_H
#define PENSTOCK_API_HTTP_H

#include "config/config.h"

struct board;
struct desk;
struct requests;
struct verifications;
struct http_server;

/*
 * Listens on the service's `listen` setting (HOST:PORT; port 0: a free one). With next_free, a
 * port in use makes it try the following ones (at most 100). ERROR_CONFIG if it cannot.
 * Off loopback it needs api.token. *port: what it listens on. requests: where loads that are asked
 * for go; desk: the warehouses that are read through this service; verifications: those that are
 * asked for; NULL: it takes none.
 */
bool http_start(struct http_server **out, const struct config *service, struct board *b,
                struct requests *requests, struct desk *desk, struct verifications *verifications,
                bool next_free, int *port, struct error *err);
/* Accepts NULL. Waits for what is being answered: nobody may be asked for long any more. */
void http_stop(struct http_server *s);

#endif
