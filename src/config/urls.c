/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar is libpq's, which differs from RFC 3986: the user part ends at the first '@' before
 * any '/', a host in brackets is IPv6, hosts may be lists, parts are percent-decoded one by one.
 * Lists of hosts are refused: a log is read from one server.
 */
#include "config/urls.h"

#include "util/mem.h"

#include <ctype.h>
#include <limits.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENCODE_HINT                                                                            \
    "in a user name, a password or a database name write %%40 for @, %%2F for /, %%3A for :, " \
    "%%3F for ?, %%25 for %%"

/* What libpq 15 knows; names of parameters come from here, so that no message repeats the URL. */
static const char *const known_parameters[] = {"application_name",
                                               "channel_binding",
                                               "client_encoding",
                                               "connect_timeout",
                                               "dbname",
                                               "fallback_application_name",
                                               "gssencmode",
                                               "gsslib",
                                               "host",
                                               "hostaddr",
                                               "keepalives",
                                               "keepalives_count",
                                               "keepalives_idle",
                                               "keepalives_interval",
                                               "krbsrvname",
                                               "options",
                                               "passfile",
                                               "password",
                                               "port",
                                               "replication",
                                               "requirepeer",
                                               "service",
                                               "ssl_max_protocol_version",
                                               "ssl_min_protocol_version",
                                               "sslcert",
                                               "sslcompression",
                                               "sslcrl",
                                               "sslcrldir",
                                               "sslkey",
                                               "sslmode",
                                               "sslpassword",
                                               "sslrootcert",
                                               "sslsni",
                                               "target_session_attrs",
                                               "tcp_user_timeout",
                                               "user"};

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Percent-decodes [p, end) into *out, freeing what was there. Nothing is stored for "". */
static bool decode(const char *what, const char *p, const char *end, char **out, struct error *err)
{
    char *to, *start;

    if (p == end)
        return true;
    start = to = mem_alloc((size_t)(end - p) + 1);
    while (p < end) {
        int high, low;

        if (*p != '%') {
            *to++ = *p++;
            continue;
        }
        high = end - p > 2 ? hex(p[1]) : -1;
        low = end - p > 2 ? hex(p[2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            mem_free(start);
            error_set(err, ERROR_CONFIG,
                      "the %s in the URL has a %% that two hexadecimal digits "
                      "other than 00 must follow",
                      what);
            return error_hint(err, ENCODE_HINT);
        }
        *to++ = (char)(high * 16 + low);
        p += 3;
    }
    *to = '\0';
    mem_free(*out);
    *out = start;
    return true;
}

/* user[:password]@ ; *p moves behind it. */
static bool parse_user(const char **p, struct url_postgres *u, struct error *err)
{
    const char *at = *p + strcspn(*p, "@/"), *colon;

    if (*at != '@')
        return true;
    colon = memchr(*p, ':', (size_t)(at - *p));
    if (!decode("user", *p, colon != NULL ? colon : at, &u->user, err) ||
        (colon != NULL && !decode("password", colon + 1, at, &u->password, err)))
        return false;
    *p = at + 1;
    return true;
}

static bool parse_host(const char **p, struct url_postgres *u, struct error *err)
{
    const char *end;

    if (**p == '[') {
        end = strchr(*p, ']');
        if (end == NULL || end == *p + 1 || strchr(":/?,", end[1]) == NULL)
            return error_set(err, ERROR_CONFIG, "the URL has a malformed IPv6 host: [ADDRESS]");
        if (!decode("host", *p + 1, end, &u->host, err))
            return false;
        end++;
    } else {
        end = *p + strcspn(*p, ":/?,");
        if (!decode("host", *p, end, &u->host, err))
            return false;
    }
    if (*end == ':') {
        const char *port = end + 1;

        end = port + strcspn(port, "/?,");
        if (!decode("port", port, end, &u->port, err))
            return false;
    }
    if (*end == ',')
        return error_set(err, ERROR_CONFIG,
                         "the URL names several hosts; a log is read from one server");
    *p = end;
    return true;
}

static const char *known_parameter(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(known_parameters) / sizeof(known_parameters[0]); i++)
        if (strlen(known_parameters[i]) == len && memcmp(known_parameters[i], name, len) == 0)
            return known_parameters[i];
    return NULL;
}

static char **part_of(struct url_postgres *u, const char *name)
{
    return strcmp(name, "host") == 0       ? &u->host
           : strcmp(name, "port") == 0     ? &u->port
           : strcmp(name, "user") == 0     ? &u->user
           : strcmp(name, "password") == 0 ? &u->password
           : strcmp(name, "dbname") == 0   ? &u->database
                                           : NULL;
}

/* One name=value in [p, end). */
static bool parse_parameter(const char *p, const char *end, struct url_postgres *u,
                            struct error *err)
{
    const char *equal = memchr(p, '=', (size_t)(end - p)), *name;
    char **part, *decoded = NULL, *value = NULL;

    if (equal == NULL || memchr(equal + 1, '=', (size_t)(end - equal) - 1) != NULL) {
        error_set(err, ERROR_CONFIG, "the URL has a parameter that is not name=value");
        return error_hint(err, ENCODE_HINT ", %%3D for =");
    }
    if (!decode("name of a parameter", p, equal, &decoded, err))
        return false;
    name = decoded != NULL ? known_parameter(decoded, strlen(decoded)) : NULL;
    mem_free(decoded);
    if (name == NULL)
        return error_set(err, ERROR_CONFIG, "the URL has a parameter that libpq does not know");
    if (!decode(name, equal + 1, end, &value, err))
        return false;
    if (value == NULL)
        value = mem_strdup("");
    part = part_of(u, name);
    if (part != NULL) {
        mem_free(*part);
        *part = value;
        return true;
    }
    for (size_t i = 0; i < u->nparameters; i++) {
        if (u->parameters[i].name == name) {
            mem_free(u->parameters[i].value);
            u->parameters[i].value = value;
            return true;
        }
    }
    u->parameters = mem_realloc(u->parameters, (u->nparameters + 1) * sizeof(*u->parameters));
    u->parameters[u->nparameters++] = (struct url_parameter){name, value};
    return true;
}

static bool check_port(const struct url_postgres *u, struct error *err)
{
    char *end;
    long port;

    if (u->port == NULL)
        return true;
    port = strtol(u->port, &end, 10);
    if (*end == '\0' && port >= 1 && port <= 65535)
        return true;
    error_set(err, ERROR_CONFIG, "the port in the URL is not a number from 1 to 65535");
    return error_hint(err, ENCODE_HINT);
}

bool url_parse_postgres(const char *url, struct url_postgres *u, struct error *err)
{
    const char *p = strstr(url, "://"), *end;
    bool ok;

    memset(u, 0, sizeof(*u));
    if (strncmp(url, "postgres://", 11) != 0 && strncmp(url, "postgresql://", 13) != 0)
        return error_set(err, ERROR_CONFIG, "the URL does not begin with postgres://");
    p += 3;
    ok = parse_user(&p, u, err) && parse_host(&p, u, err);
    if (ok && *p == '/') {
        end = p + 1 + strcspn(p + 1, "?");
        ok = decode("database name", p + 1, end, &u->database, err);
        p = end;
    }
    if (ok && *p == '?' && p[1] != '\0') {
        do {
            p++;
            end = p + strcspn(p, "&");
            ok = parse_parameter(p, end, u, err);
            p = end;
        } while (ok && *p == '&');
    }
    if (ok && u->host != NULL && strchr(u->host, ',') != NULL)
        ok = error_set(err, ERROR_CONFIG,
                       "the URL names several hosts; a log is read from one server");
    ok = ok && check_port(u, err);
    if (!ok)
        url_postgres_free(u);
    return ok;
}

void url_postgres_free(struct url_postgres *u)
{
    mem_free(u->host);
    mem_free(u->port);
    mem_free(u->user);
    mem_free(u->password);
    mem_free(u->database);
    for (size_t i = 0; i < u->nparameters; i++)
        mem_free(u->parameters[i].value);
    mem_free(u->parameters);
    memset(u, 0, sizeof(*u));
}

size_t urls_scheme(const char *url, char *out, size_t size)
{
    size_t n = 0;

    while (isalnum((unsigned char)url[n]) || (n > 0 && url[n] != '\0' && strchr("+.-", url[n])))
        n++;
    if (n < 2 || url[n] != ':') /* one letter is a drive */
        n = 0;
    if (out != NULL && size > 0) {
        size_t i = 0;

        for (; i < n && i < size - 1; i++)
            out[i] = url[i];
        out[i] = '\0';
    }
    return n;
}

const char *urls_class(const char *scheme, bool source)
{
    if (strcmp(scheme, "postgres") == 0 || strcmp(scheme, "postgresql") == 0)
        return source ? "postgres" : "postgres-warehouse";
    if (strcmp(scheme, "duckdb") == 0 && !source)
        return "duckdb";
    if ((strcmp(scheme, "mysql") == 0 || strcmp(scheme, "mariadb") == 0) && source)
        return "mysql";
    return NULL;
}

bool urls_valid_authority(const char *url)
{
    struct url_postgres u;

    if (strchr(url, '@') == NULL)
        return true;
    if (!url_parse_postgres(url, &u, NULL))
        return false;
    url_postgres_free(&u);
    return true;
}

/* The path with its directory resolved, so that w.db and ./w.db are one target. */
static void absolute_path(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    char *dir = slash == NULL   ? mem_strdup(".")
                : slash == path ? mem_strdup("/")
                                : mem_strndup(path, (size_t)(slash - path));
    char real[PATH_MAX], cwd[PATH_MAX];

    if (realpath(dir, real) != NULL)
        snprintf(out, size, "%s/%s", strcmp(real, "/") == 0 ? "" : real, base);
    else if (path[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
        snprintf(out, size, "%s", path);
    else
        snprintf(out, size, "%s/%s", cwd, path);
    mem_free(dir);
}

bool urls_target_hash(const char *url, char out[9], struct error *err)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[2 * PATH_MAX + 64];
    struct url_postgres u;

    if (strncmp(url, "duckdb:", 7) == 0) {
        memcpy(text, "duckdb:", 7);
        absolute_path(url + 7, text + 7, sizeof(text) - 7);
    } else if (url_parse_postgres(url, &u, err)) {
        snprintf(text, sizeof(text), "postgres://%s:%s/%s", u.host ? u.host : "",
                 u.port ? u.port : "5432", u.database ? u.database : "");
        url_postgres_free(&u);
    } else {
        return false;
    }
    SHA256((const unsigned char *)text, strlen(text), digest);
    for (int i = 0; i < 4; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return true;
}
