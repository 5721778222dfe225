/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs of databases and warehouses: postgres:// and postgresql:// as libpq takes them
 * (PostgreSQL manual, "Connection URIs"), duckdb:PATH. Messages never hold a piece of a URL that
 * could be a secret: they name the part.
 */
#ifndef PENSTOCK_CONFIG_URLS_H
#define PENSTOCK_CONFIG_URLS_H

#include "util/error.h"

#include <stddef.h>

struct url_parameter {
    const char *name;
    char *value;
};

/* Percent-decoded; NULL where the URL does not say. The parameters of ?name=value replace the
 * part they name: host, port, user, password, dbname. */
struct url_postgres {
    char *host, *port, *user, *password, *database;
    struct url_parameter *parameters; /* the others: sslmode, ... */
    size_t nparameters;
};

/* ERROR_CONFIG without a hint where the reason is not one of libpq's own rules. */
bool url_parse_postgres(const char *url, struct url_postgres *out, struct error *err);
void url_postgres_free(struct url_postgres *u);

/* Length of the scheme before the first ':', copied to out (may be NULL); 0: none. Lower case only
 * is a scheme that is known. */
size_t urls_scheme(const char *url, char *out, size_t size);
/* The class that takes URLs of this scheme ("duckdb", "postgres-warehouse", "mysql" ...). */
const char *urls_class(const char *scheme, bool source);
/* True if the URL is one that is parsed here without an error, or has no user or password. */
bool urls_valid_authority(const char *url);

/*
 * 8 hex digits that stand for a target, whoever connects to it and how: of the SHA-256 of
 * "postgres://HOST:PORT/DB" or "duckdb:/ABSOLUTE/PATH".
 */
bool urls_target_hash(const char *url, char out[9], struct error *err);

#endif
