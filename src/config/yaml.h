/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The YAML (and so JSON) of a configuration file as plain maps of text, nothing checked yet but
 * the shape: `service:` a flat map, `connectors:` a map of flat maps.
 */
#ifndef PENSTOCK_CONFIG_YAML_H
#define PENSTOCK_CONFIG_YAML_H

#include "config/config_internal.h"
#include "util/arena.h"

struct raw_map {
    const char *name; /* the connector's; NULL for the service */
    int line;
    struct raw_entry *entries;
    size_t n;
};

struct raw_file {
    struct raw_map service;
    struct raw_map *connectors;
    size_t nconnectors;
};

/* Everything is in arena a. path is for messages only. ERROR_CONFIG as "PATH:LINE: ...". */
bool yaml_parse(struct arena *a, const char *path, const void *text, size_t len,
                struct raw_file *out, struct error *err);

#endif
