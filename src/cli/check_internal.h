/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `penstock check` share. */
#ifndef PENSTOCK_CLI_CHECK_INTERNAL_H
#define PENSTOCK_CLI_CHECK_INTERNAL_H

#include "config/file.h"
#include "load/target.h"
#include "source.h"

#include <jansson.h>

/* A table on its way from a source to a warehouse. */
struct check_table {
    const struct plan_table *plan;
    const char *target_schema, *target_name;
    const struct target *target; /* NULL: the warehouse cannot hold it */
    const char *refused;         /* NULL, or why it will not be replicated */
};

/* One source and the warehouse that takes its topics. */
struct check_pair {
    const struct config_connector *source, *sink; /* sink NULL: none takes them */
    struct source_plan plan;
    bool asked; /* the source answered */
    int n;      /* tables that the warehouse takes */
    struct check_table *tables;
    int untaken; /* tables whose topics it does not take */
};

/* A warehouse that was looked at. */
struct check_seen {
    struct check_seen *next;
    const char *sink, *identity;
};

struct check {
    const struct config_file *cfg;
    struct arena *arena;
    struct findings findings;
    int npairs; /* one for each source, in the file's order */
    struct check_pair *pairs;
    struct check_seen *seen;
};

/* check_plan.c: topics, target names and types; a finding for each name that is changed. known:
 * what the warehouse has of earlier runs, by the source's table; may be NULL. */
struct table_record;
void check_plan_pair(struct check *c, struct check_pair *p, const struct table_record *known,
                     int nknown);
/* The pair's tables, totals and expectations, as the JSON form has them. */
json_t *check_plan_tables(const struct check_pair *p);
json_t *check_plan_totals(const struct check_pair *p);

/* check_warehouse.c: everything of one warehouse, and the plans of the pairs that lead to it. */
void check_warehouse(struct check *c, const struct config_connector *sink);

/* check_print.c: the form for people. plan: what the JSON form holds. */
void check_print(const json_t *report);

#endif
