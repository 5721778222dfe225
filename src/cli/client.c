/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request, one connection; 5 s to connect, 30 s in all, answers up to 64 MB. Only http and
 * https, no redirects: a token must not travel to where it was not sent. A loopback address is
 * never asked through a proxy.
 */
#include "cli/client.h"

#include "util/mem.h"

#include <curl/curl.h>
#include <string.h>

enum { CONNECT_S = 5, TOTAL_S = 30, MAX_ANSWER = 64 * 1024 * 1024 };

static size_t take(char *data, size_t size, size_t n, void *ctx)
{
    struct buf *body = ctx;

    if (body->len + size * n > MAX_ANSWER)
        return 0;
    buf_append(body, data, size * n);
    return size * n;
}

static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://");

    host = host ? host + 3 : url;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

static bool fail_curl(const struct cli_args *args, CURLcode code, struct error *err)
{
    switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        error_set(err, ERROR_CONFIG, "--url: '%s' is not an address of a service", args->url);
        return error_hint(err, "use --url http://HOST:PORT");
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(err, ERROR_RETRY,
                         "no service answers at %s: start one with 'penstock run -c "
                         "penstock.yaml', or name another with --url (%s)",
                         args->url, curl_easy_strerror(code));
    default:
        return error_set(err, ERROR_RETRY, "%s: %s", args->url, curl_easy_strerror(code));
    }
}

static bool fail_status(const struct cli_args *args, const char *path, long status,
                        struct buf *body, struct error *err)
{
    json_t *j = json_loads(buf_cstr(body), 0, NULL);
    const char *message = json_string_value(json_object_get(j, "message"));

    if (message == NULL) /* of a problem (RFC 9457) */
        message = json_string_value(json_object_get(j, "detail"));

    if (status == 401) {
        error_set(err, ERROR_CONFIG, "the service at %s wants its api.token", args->url);
        error_hint(err, "give it with --token, or in PENSTOCK_TOKEN");
    } else if (message) {
        error_set(err, ERROR_DATA, "%s answers %ld: %s", args->url, status, message);
    } else {
        error_set(err, ERROR_DATA, "%s does not answer as penstock does (%s: HTTP status %ld)",
                  args->url, path, status);
    }
    json_decref(j);
    return false;
}

static CURL *request(const struct cli_args *args, const char *path, struct buf *body)
{
    size_t n = strlen(args->url);
    CURL *c = curl_easy_init();
    char *url;

    if (c == NULL)
        return NULL;
    while (n > 0 && args->url[n - 1] == '/')
        n--;
    url = mem_printf("%.*s%s", (int)n, args->url, path);
    curl_easy_setopt(c, CURLOPT_URL, url);
    mem_free(url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)TOTAL_S);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, body);
    if (is_loopback(args->url))
        curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    if (args->token) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, args->token);
    }
    return c;
}

/* Ends c. False also for what is not 2xx. */
static bool perform(const struct cli_args *args, CURL *c, const char *path, struct buf *body,
                    bool *absent, struct error *err)
{
    long status = 0;
    CURLcode code = curl_easy_perform(c);

    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(c);
    *absent = code == CURLE_COULDNT_CONNECT;
    if (code != CURLE_OK)
        return fail_curl(args, code, err);
    return status / 100 == 2 || fail_status(args, path, status, body, err);
}

static bool parse(const struct cli_args *args, const char *path, struct buf *body, json_t **out,
                  struct error *err)
{
    *out = json_loads(buf_cstr(body), 0, NULL);
    return *out != NULL ||
           error_set(err, ERROR_DATA, "%s does not answer as penstock does (%s: no JSON)",
                     args->url, path);
}

bool client_get(const struct cli_args *args, const char *path, struct buf *body, struct error *err)
{
    CURL *c = request(args, path, body);
    bool absent;

    if (c == NULL)
        return error_set(err, ERROR_FATAL, "libcurl cannot be used");
    return perform(args, c, path, body, &absent, err);
}

bool client_get_json(const struct cli_args *args, const char *path, json_t **out, struct error *err)
{
    struct buf body = {0};
    bool ok = client_get(args, path, &body, err) && parse(args, path, &body, out, err);

    buf_free(&body);
    return ok;
}

bool client_post_json(const struct cli_args *args, const char *path, const char *json, json_t **out,
                      bool *absent, struct error *err)
{
    struct buf body = {0};
    CURL *c = request(args, path, &body);
    /* Without a value: curl's own, of a form, is left out. */
    struct curl_slist *headers =
        curl_slist_append(NULL, json != NULL ? "Content-Type: application/json" : "Content-Type:");
    bool ok;

    *absent = false;
    if (c == NULL) {
        curl_slist_free_all(headers);
        return error_set(err, ERROR_FATAL, "libcurl cannot be used");
    }
    curl_easy_setopt(c, CURLOPT_POST, 1L);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, json != NULL ? json : "");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    ok = perform(args, c, path, &body, absent, err) && parse(args, path, &body, out, err);
    curl_slist_free_all(headers);
    buf_free(&body);
    return ok;
}

bool client_tell(const struct cli_args *args, const char *method, const char *path,
                 struct error *err)
{
    struct buf body = {0};
    CURL *c = request(args, path, &body);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type:");
    bool absent, ok;

    if (c == NULL) {
        curl_slist_free_all(headers);
        return error_set(err, ERROR_FATAL, "libcurl cannot be used");
    }
    curl_easy_setopt(c, CURLOPT_POST, 1L);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    ok = perform(args, c, path, &body, &absent, err);
    curl_slist_free_all(headers);
    buf_free(&body);
    return ok;
}

void client_segment(struct buf *path, const char *s)
{
    for (; *s != '\0'; s++) {
        bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                     (*s >= '0' && *s <= '9') || strchr("-_.~", *s) != NULL;

        if (plain)
            buf_u8(path, (uint8_t)*s);
        else
            buf_printf(path, "%%%02X", (unsigned char)*s);
    }
}
