/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole configuration: the service's map and the connectors', from a YAML file (JSON is YAML) or
 * from two URLs. Made once, immutable. ${env:NAME} and ${file:/path:key} are replaced. Every key
 * is checked against the settings tables: unknown keys, values, classes and unset variables are
 * ERROR_CONFIG, naming the nearest known one.
 */
#ifndef PENSTOCK_CONFIG_FILE_H
#define PENSTOCK_CONFIG_FILE_H

#include "config/config.h"

struct source_ops;
struct warehouse_ops;

struct config_connector {
    const char *name;
    const struct config *config;
    const struct source_ops *source; /* one of the two is NULL */
    const struct warehouse_ops *warehouse;
};

struct config_file {
    const struct config *service;
    int nconnectors;
    struct config_connector *connectors; /* in the file's order */
    bool from_urls;                      /* made by config_file_from_urls */
    bool once;                           /* as in struct config_urls */
};

/* What `sync` and `check` take instead of a file. */
struct config_urls {
    const char *from, *to;
    const char *tables;    /* table.include.list, or NULL */
    const char *listen;    /* or NULL: 127.0.0.1:8083 */
    const char *log_level; /* or NULL: info */
    bool once;
};

bool config_file_load(const char *path, struct config_file **out, struct error *err);
bool config_file_from_urls(const struct config_urls *u, struct config_file **out,
                           struct error *err);
void config_file_free(struct config_file *f); /* accepts NULL */

/*
 * One validated map, for tests and for connectors made elsewhere: pairs of key and value, ended
 * by a NULL key. settings: tables of settings, ended by NULL.
 */
bool config_make(struct config **out, const char *name, const struct setting *const *settings,
                 const char *const *pairs, struct error *err);
void config_free(struct config *c); /* accepts NULL */

/* The settings every connector of the kind has (topic.prefix, table.include.list, ...). */
extern const struct setting config_service_settings[];
extern const struct setting config_source_settings[]; /* all sources */
extern const struct setting config_sink_settings[];   /* all warehouses */

#endif
