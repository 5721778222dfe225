/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings: one table row per setting makes parsing, validation, `penstock config`, the masking of
 * secrets and docs/configuration.md. A struct config is one validated flat map (the service's or
 * a connector's), immutable after it was made.
 */
#ifndef PENSTOCK_CONFIG_CONFIG_H
#define PENSTOCK_CONFIG_CONFIG_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_type {
    SETTING_STRING,
    SETTING_BOOL,     /* true, false */
    SETTING_INT,      /* within min..max */
    SETTING_BYTES,    /* 8388608, 8MB, 1GB (powers of 1024) */
    SETTING_ENUM,     /* one of `choices`, comma-separated */
    SETTING_REGEX,    /* one PCRE2 expression */
    SETTING_REGEXES,  /* comma-separated list of them, anchored, case-insensitive */
    SETTING_PASSWORD, /* a secret string */
    SETTING_URL       /* may hold a password, which is masked */
};

struct setting {
    const char *name; /* NULL ends the table */
    enum setting_type type;
    const char *def; /* default as text; NULL: none */
    bool required;
    const char *choices; /* ENUM */
    int64_t min, max;    /* INT, BYTES; both 0: no limit */
    const char *doc;     /* one or two sentences for docs/configuration.md */
    /* Accepted for compatibility only with this value (what is done anyway); NULL: a real one. */
    const char *only;
};

struct config;

/* Values that were set or have a default; NULL otherwise. Borrowed from the config. */
const char *config_string(const struct config *c, const char *name);
bool config_bool(const struct config *c, const char *name);
int64_t config_int(const struct config *c, const char *name); /* INT, BYTES; 0 if unset */
/* True if the user set it (not the default). */
bool config_is_set(const struct config *c, const char *name);
const char *
config_name(const struct config *c); /* the connector's name, "service" for the service */

/* Iterates over the keys that are set, in the user's order; *at starts at 0; NULL at the end.
 * *masked is the value as it may be shown ("[hidden]" for secrets, also inside URLs). */
const char *config_next(const struct config *c, size_t *at, const char **masked);

/* include, exclude: names of settings, REGEX or REGEXES. *yes: text (schema.table) is selected by
 * include (NULL, unset or empty: all) and not by exclude. ERROR_CONFIG if that cannot be told,
 * because an expression backtracks for too long. */
bool config_selects(const struct config *c, const char *include, const char *exclude,
                    const char *text, bool *yes, struct error *err);

#endif
