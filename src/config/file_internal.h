/* SPDX-License-Identifier: Apache-2.0 */
/* What making a configuration from a file and from URLs have in common. */
#ifndef PENSTOCK_CONFIG_FILE_INTERNAL_H
#define PENSTOCK_CONFIG_FILE_INTERNAL_H

#include "config/config_internal.h"
#include "config/file.h"

/* A map as written, before its class is known. */
struct file_map {
    const char *name; /* NULL: the service's */
    const struct raw_entry *entries;
    size_t n;
    int line;
    const char *path; /* of the file, or NULL */
    bool literal;     /* ${...} stays as it is */
};

/* The keys that every connector has whatever its class. */
extern const struct setting config_connector_settings[];

/* The tables of a connector's class, ended by a NULL: 4 places are enough. */
void file_settings(const struct source_ops *source, const struct warehouse_ops *warehouse,
                   const struct setting *out[4]);
bool file_service(struct config_file *f, const struct file_map *map, struct error *err);
/* Appends one connector; f->connectors has room. */
bool file_connector(struct config_file *f, const struct file_map *map, struct error *err);

/* rules.c: what no single setting can say; ERROR_CONFIG without a place in a file. */
bool rules_service(const struct config *service, struct error *err);
bool rules_connector(const struct config_connector *c, struct error *err);
bool rules_name(const char *name, struct error *err);
bool rules_together(const struct config_file *f, struct error *err);

#endif
