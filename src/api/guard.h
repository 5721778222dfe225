/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask: the bearer token, the Host check against DNS rebinding, the Origin check against
 * pages that send what they may not read. */
#ifndef PENSTOCK_API_GUARD_H
#define PENSTOCK_API_GUARD_H

#include "api/listen.h"

struct guard {
    bool has_token;
    unsigned char token[32]; /* SHA-256 */
    struct listen_address address;
};

/* token NULL or "": none. */
void guard_init(struct guard *g, const char *token, const struct listen_address *address);
/* header: the request's Authorization, or NULL. True without a token. */
bool guard_token_ok(const struct guard *g, const char *header);
/* header: the request's Host, or NULL (a browser always sends one). */
bool guard_host_ok(const struct guard *g, const char *header);
/*
 * For requests that change something. origin: the request's Origin, or NULL (a browser always sends
 * one with such a request). True with a token: a browser does not send that by itself.
 */
bool guard_origin_ok(const struct guard *g, const char *origin, const char *host);

#endif
