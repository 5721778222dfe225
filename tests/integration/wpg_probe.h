/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the Postgres warehouse's probe share. */
#ifndef WPG_PROBE_H
#define WPG_PROBE_H

#include "util/mem.h"
#include "warehouse_postgres/warehouse_postgres.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct warehouse_ops *const ops;
extern int failures;

#define CHECK(cond, ...)                                          \
    do {                                                          \
        if (!(cond)) {                                            \
            printf("FAIL %s:%d %s: ", __func__, __LINE__, #cond); \
            printf(__VA_ARGS__);                                  \
            printf("\n");                                         \
            failures++;                                           \
        }                                                         \
    } while (0)
#define OK(call) CHECK(call, "%s (%s) %s", err.message, err.sqlstate, err.hint)
#define FAILS(call, want)                                                                     \
    do {                                                                                      \
        error_clear(&err);                                                                    \
        CHECK(!(call), "did not fail");                                                       \
        CHECK(err.kind == (want), "kind %s: %s (%s)", error_kind_name(err.kind), err.message, \
              err.sqlstate);                                                                  \
    } while (0)

/* wpg_probe_types.c: schema wpg_probe exists and has no table t. */
void probe_types(struct session *s);
void probe_loader(struct session *s);
/* wpg_probe_alter.c: targets altered in place. */
void probe_alter(struct session *s);
/* A default of that value is what the appender wrote as column v of wpg_probe.t in row i. */
void probe_default(struct session *s, struct arena *a, const struct load_column *c, int row,
                   const struct value *v);
/* wpg_probe_apply.c: batches as src/load plans them. */
void probe_apply(struct session *s);

#endif
