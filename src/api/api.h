/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/api: what a resource sees of a request and fills of a reply. A route is a row of the
 * one table in routes.c; a resource is a file of handlers. Handlers run in the HTTP server's
 * threads, read copies from the board and never block on a connector.
 */
#ifndef PENSTOCK_API_API_H
#define PENSTOCK_API_API_H

#include "config/config.h"
#include "util/arena.h"
#include "util/buf.h"

#include <jansson.h>

struct board;
struct desk;
struct requests;
struct verifications;

enum { API_MAX_PARAMS = 2, API_MAX_SEGMENTS = 8 };

#define API_JSON "application/json"
#define API_PROBLEM "application/problem+json"

/* What handlers know of the service; does not change while the server runs. */
struct api_context {
    struct board *board;
    struct requests *requests;           /* NULL: this service takes none */
    struct desk *desk;                   /* NULL: no warehouse is read through this service */
    struct verifications *verifications; /* NULL: this service takes none */
    const struct config *service;
    const char *worker_id; /* HOST:PORT */
};

struct api_request {
    const struct api_context *context;
    struct arena *arena;                /* freed after the reply was made */
    const char *params[API_MAX_PARAMS]; /* what {} stands for in the path, decoded */
    int nqueries;
    const char *const *keys, *const *values; /* query arguments, decoded */
    const char *content_type;                /* of the body, or NULL */
    const char *body;                        /* as it came; NULL: none */
    size_t body_len;
};

struct api_reply {
    unsigned status;
    const char *type;     /* Content-Type */
    const char *allow;    /* Allow, or NULL */
    const char *location; /* Location, or NULL */
    bool problem;         /* errors are problem+json (RFC 9457): under /v1 */
    struct buf body;
    /*
     * What takes long: a handler leaves it here and returns; it then fills the reply in a thread of
     * its own, the request's arena lives on. Where no thread can be had, never is called instead.
     */
    void (*later)(void *ctx, struct api_reply *reply);
    void (*never)(void *ctx);
    void *later_ctx;
    int client; /* meanwhile: the socket of who waits for it */
};

struct api_route {
    const char *method;  /* "GET", which also answers HEAD; "POST" */
    const char *pattern; /* "/connectors/{}/status" */
    void (*handle)(const struct api_request *request, struct api_reply *reply);
};

extern const struct api_route api_routes[]; /* ended by a NULL method */

/* Takes json. */
void api_json(struct api_reply *reply, unsigned status, json_t *json);
/* {"error_code": status, "message": ...}, or {"type", "title", "status", "detail"} of a problem. */
void api_error(struct api_reply *reply, unsigned status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "HTTP 404 Not Found", as Kafka Connect words what has no text of its own. */
void api_plain_error(struct api_reply *reply, unsigned status);
/* A JSON string of any bytes: what is not UTF-8 becomes '?'. NULL gives null. */
json_t *api_string(const char *s);
/* True if the query holds key=value. */
bool api_query_has(const struct api_request *request, const char *key, const char *value);
/* True if the query holds the key at all. */
bool api_query_any(const struct api_request *request, const char *key);

/*
 * Finds the route of method and raw (still percent-encoded) path, fills request->params and calls
 * it; else answers 400 (bad escape), 404, 405 or OPTIONS itself.
 */
void api_dispatch(struct api_request *request, const char *method, const char *path,
                  struct api_reply *reply);
/* True for a raw path under /v1, where errors are problems. */
bool api_is_ours(const char *path);
/*
 * The body as JSON, the caller's; NULL in *out without a body. False: the reply is made (415 for
 * another Content-Type than application/json, 400 for what is not JSON).
 */
bool api_body_json(const struct api_request *request, struct api_reply *reply, json_t **out);
/* Decodes %XX of s in arena a; NULL for a bad escape, a control character or what is not UTF-8. */
char *api_decode(struct arena *a, const char *s, size_t n);

/* Shared by the resources of connectors. */
struct board_connector;
/* The one that the path's first parameter names; NULL if there is none. */
const struct board_connector *api_find_connector(const struct api_request *request);
/* Seconds since that moment (us since 1970); null for 0: not known. */
json_t *api_age_json(int64_t us);
json_t *api_status_json(const struct api_request *request, const struct board_connector *c);

/* Handlers: api_health.c, api_connectors.c, api_lifecycle.c, api_tables.c, api_metrics.c,
 * api_snapshots.c, api_query.c, api_verifications.c */
void api_root(const struct api_request *request, struct api_reply *reply);
void api_livez(const struct api_request *request, struct api_reply *reply);
void api_readyz(const struct api_request *request, struct api_reply *reply);
void api_health(const struct api_request *request, struct api_reply *reply);
void api_metrics(const struct api_request *request, struct api_reply *reply);
void api_connectors(const struct api_request *request, struct api_reply *reply);
void api_connector(const struct api_request *request, struct api_reply *reply);
void api_connector_config(const struct api_request *request, struct api_reply *reply);
void api_connector_status(const struct api_request *request, struct api_reply *reply);
void api_connector_tasks(const struct api_request *request, struct api_reply *reply);
void api_task_status(const struct api_request *request, struct api_reply *reply);
void api_pause(const struct api_request *request, struct api_reply *reply);
void api_resume(const struct api_request *request, struct api_reply *reply);
void api_restart(const struct api_request *request, struct api_reply *reply);
void api_restart_task(const struct api_request *request, struct api_reply *reply);
void api_tables(const struct api_request *request, struct api_reply *reply);
void api_snapshots(const struct api_request *request, struct api_reply *reply);
void api_query(const struct api_request *request, struct api_reply *reply);
void api_verify(const struct api_request *request, struct api_reply *reply);
void api_verifications(const struct api_request *request, struct api_reply *reply);
void api_verification(const struct api_request *request, struct api_reply *reply);
void api_cancel_verification(const struct api_request *request, struct api_reply *reply);

#endif
