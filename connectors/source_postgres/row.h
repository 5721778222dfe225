/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of a row message -> a change of the engine. */
#ifndef PENSTOCK_SOURCE_POSTGRES_ROW_H
#define PENSTOCK_SOURCE_POSTGRES_ROW_H

#include "source_postgres/relation.h"

/*
 * Fills c from a row message of a relation that matches; values live in the relation and in
 * scratch until the next call. ERROR_DATA with err->table where a value cannot be carried.
 */
MUST_CHECK bool row_change(struct relation *rel, const struct pgoutput_decoder *d,
                           const struct pgoutput_message *m, struct arena *scratch,
                           struct change *c, struct error *err);

#endif
