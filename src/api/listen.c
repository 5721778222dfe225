/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the server's socket itself, so that "in use" is told apart from "not allowed" and the port
 * that the system chose is known. Only the first address of a name is taken.
 */
#include "api/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_PORT = 65535, PORTS_TRIED = 100 };

bool listen_parse(const char *text, struct listen_address *out, struct error *err)
{
    const char *colon = strrchr(text, ':'), *host = text;
    size_t n = colon ? (size_t)(colon - text) : 0;
    char *end = NULL;
    long port = -1;

    memset(out, 0, sizeof(*out));
    if (colon && colon[1] >= '0' && colon[1] <= '9')
        port = strtol(colon + 1, &end, 10);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        host++;
        n -= 2;
    } else if (colon && memchr(text, ':', n)) {
        port = -1; /* an IPv6 address needs brackets */
    }
    if (port < 0 || port > MAX_PORT || *end != '\0' || n >= sizeof(out->host)) {
        error_set(err, ERROR_CONFIG, "listen: '%s' is not HOST:PORT", text);
        return error_hint(err, "set service: listen: 127.0.0.1:8083 (or [::1]:8083; port 0 takes "
                               "a free one)");
    }
    memcpy(out->host, host, n);
    out->port = (int)port;
    return true;
}

static bool is_loopback(const struct sockaddr *sa)
{
    const struct sockaddr_in *v4 = (const void *)sa;
    const struct sockaddr_in6 *v6 = (const void *)sa;

    if (sa->sa_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* 0 or errno. */
static int try_port(const struct addrinfo *ai, int port, int *fd)
{
    struct sockaddr_storage ss = {0};
    struct sockaddr_in *v4 = (void *)&ss;
    struct sockaddr_in6 *v6 = (void *)&ss;
    int one = 1, code;

    memcpy(&ss, ai->ai_addr, ai->ai_addrlen);
    if (ai->ai_family == AF_INET)
        v4->sin_port = htons((uint16_t)port);
    else
        v6->sin6_port = htons((uint16_t)port);
    *fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return errno;
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(*fd, (struct sockaddr *)&ss, ai->ai_addrlen) == 0 && listen(*fd, 128) == 0)
        return 0;
    code = errno;
    close(*fd);
    *fd = -1;
    return code;
}

static int port_of(int fd)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(ss);

    if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
        return 0;
    return ntohs(ss.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&ss)->sin_port
                                         : ((struct sockaddr_in6 *)(void *)&ss)->sin6_port);
}

static bool fail(const struct listen_address *a, int code, bool next_free, struct error *err)
{
    const char *host = a->host[0] ? a->host : "0.0.0.0";
    bool v6 = strchr(host, ':') != NULL;

    if (code != EADDRINUSE) {
        error_set(err, ERROR_CONFIG, "cannot listen on %s%s%s:%d: %s", v6 ? "[" : "", host,
                  v6 ? "]" : "", a->port, strerror(code));
        return error_hint(err, "set service: listen to an address of this machine and a port that "
                               "may be used, such as 127.0.0.1:8083");
    }
    error_set(err, ERROR_CONFIG, "%s%s%s:%d is in use%s", v6 ? "[" : "", host, v6 ? "]" : "",
              a->port, next_free ? ", and so are the ports after it" : "");
    return error_hint(err,
                      "another program (perhaps another penstock) listens there: stop it, or set "
                      "service: listen: %s%s%s:%d",
                      v6 ? "[" : "", host, v6 ? "]" : "", a->port < MAX_PORT ? a->port + 1 : 0);
}

bool listen_open(struct listen_address *a, bool token, bool next_free, int *fd, struct error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *ai = NULL;
    const char *host = a->host[0] ? a->host : "0.0.0.0";
    int code, tries = next_free && a->port ? PORTS_TRIED : 0;
    int gai = getaddrinfo(host, NULL, &hints, &ai);

    if (gai != 0) {
        error_set(err, ERROR_CONFIG, "listen: %s: %s", a->host, gai_strerror(gai));
        return error_hint(err, "set service: listen: 127.0.0.1:8083");
    }
    a->loopback = is_loopback(ai->ai_addr);
    if (!a->loopback && !token) {
        freeaddrinfo(ai);
        error_set(err, ERROR_CONFIG,
                  "listen: %s:%d can be reached from other machines, and api.token is not set",
                  host, a->port);
        return error_hint(err, "set service: api.token: ${env:PENSTOCK_TOKEN}, or listen on "
                               "127.0.0.1:8083");
    }
    for (int i = 0;; i++) {
        code = a->port + i > MAX_PORT ? EADDRINUSE : try_port(ai, a->port + i, fd);
        if (code != EADDRINUSE || i == tries)
            break;
    }
    freeaddrinfo(ai);
    if (code != 0)
        return fail(a, code, next_free, err);
    a->port = port_of(*fd);
    return true;
}
