/* SPDX-License-Identifier: Apache-2.0 */
/* The address that the HTTP server listens on. */
#ifndef PENSTOCK_API_LISTEN_H
#define PENSTOCK_API_LISTEN_H

#include "util/error.h"

struct listen_address {
    char host[256]; /* without brackets; "" for every interface */
    int port;
    bool loopback; /* reachable from this machine only; set by listen_open */
};

/* HOST:PORT, [V6]:PORT or :PORT. ERROR_CONFIG. */
bool listen_parse(const char *text, struct listen_address *out, struct error *err);
/*
 * Opens a listening socket; a->port becomes the port it has. With token false only a loopback
 * address is taken. With next_free, up to 100 following ports are tried. ERROR_CONFIG.
 */
bool listen_open(struct listen_address *a, bool token, bool next_free, int *fd, struct error *err);

#endif
