/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens are compared by their SHA-256, in constant time, so that neither length nor contents show
 * in the time it takes. The Host check: a page that a browser loaded from elsewhere can make its
 * own name resolve to 127.0.0.1, but cannot change the Host that is sent; on a loopback address
 * only our own names are answered. Off loopback a token is always needed, which such a page lacks.
 */
#include "api/guard.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

void guard_init(struct guard *g, const char *token, const struct listen_address *address)
{
    memset(g, 0, sizeof(*g));
    g->address = *address;
    g->has_token = token != NULL && token[0] != '\0';
    if (g->has_token)
        SHA256((const unsigned char *)token, strlen(token), g->token);
}

bool guard_token_ok(const struct guard *g, const char *header)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];

    if (!g->has_token)
        return true;
    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
        return false;
    header += 7;
    header += strspn(header, " ");
    SHA256((const unsigned char *)header, strlen(header), hash);
    return CRYPTO_memcmp(hash, g->token, sizeof(hash)) == 0;
}

/* True if the header is name, or name and a port. */
static bool names(const char *header, const char *name)
{
    size_t n = strlen(name);

    if (strncasecmp(header, name, n) != 0)
        return false;
    header += n;
    if (*header == ':')
        header += 1 + strspn(header + 1, "0123456789");
    return *header == '\0';
}

bool guard_host_ok(const struct guard *g, const char *header)
{
    if (!g->address.loopback || header == NULL)
        return true;
    return names(header, "localhost") || names(header, "127.0.0.1") || names(header, "[::1]") ||
           (strchr(g->address.host, ':') == NULL && names(header, g->address.host));
}

bool guard_origin_ok(const struct guard *g, const char *origin, const char *host)
{
    const char *at;

    if (g->has_token || origin == NULL)
        return true;
    at = strstr(origin, "://"); /* not in "null", what a page without an origin sends */
    return at != NULL && host != NULL && strcasecmp(at + 3, host) == 0;
}
