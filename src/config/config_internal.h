/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/config share: the inside of a struct config and how one is built. */
#ifndef PENSTOCK_CONFIG_CONFIG_INTERNAL_H
#define PENSTOCK_CONFIG_CONFIG_INTERNAL_H

#include "config/config.h"
#include "config/patterns.h"

#define CONFIG_HIDDEN "[hidden]"

struct config_entry {
    const struct setting *setting;
    char *value;               /* references replaced; enums and booleans in their known spelling */
    char *shown;               /* as people may see it */
    bool user;                 /* else the default */
    int64_t number;            /* INT, BYTES, BOOL */
    struct patterns *patterns; /* REGEX, REGEXES that are not empty */
};

struct config {
    char *name;
    size_t n;     /* entries in use */
    size_t nuser; /* the first ones are the user's, in the user's order */
    struct config_entry *entries;
};

/* One key as it was written. line: in its file, 0 if there is none. */
struct raw_entry {
    const char *key, *value;
    int line;
    bool null; /* YAML's null or nothing; value is "" */
};

struct config_input {
    const char *name;                      /* the connector's, or "service" */
    const struct setting *const *settings; /* tables, ended by a NULL */
    const struct raw_entry *entries;
    size_t n;
    const char *path; /* of the file the lines are of, or NULL */
    int line;         /* where the map begins, 0 if nowhere */
    bool literal;     /* ${...} is not replaced: the text of a command line */
};

/* ERROR_CONFIG naming file, line and setting. Required settings must be there. */
bool config_build(struct config **out, const struct config_input *in, struct error *err);

/* The setting of that name in the tables; NULL if there is none. */
const struct setting *config_find(const struct setting *const *settings, const char *name);

/* Parses e->value (in place: known spelling, number, patterns). Messages show e->shown only. */
bool config_value_parse(struct config_entry *e, struct error *err);

/* Replaces ${env:NAME} and ${file:/path:key}. *found: there was one. *out is the caller's. */
bool config_resolve(const char *raw, char **out, bool *found, struct error *err);

/* The URL with every password in it replaced by [hidden]; the caller's to free. */
char *config_mask_url(const char *url);

/* Why a well-known key, or a value of a known one, has no meaning here; NULL if it is unknown. */
const char *config_refused_key(const char *key);
const char *config_refused_value(const char *key, const char *value);
/* Why a class that exists elsewhere does not exist here; NULL if it is unknown. */
const char *config_refused_class(const char *class_name);

#endif
