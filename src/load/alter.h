/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target from one version of its table to the next, in its place: which columns it then has and
 * the statements that make it so. Pure functions of both versions and the dialect; golden-tested.
 *
 * A column keeps its place in the target as long as the source's does: followed by identity. A
 * renamed one is renamed, a widened one gets the new type, an added one comes last with the value
 * that older rows hold in it. A dropped one stays (struct kept_column): rows that change later
 * hold NULL in it; if its name is wanted again, it is renamed NAME__dropped_N first (N: its number
 * at the source, struct column.attnum).
 */
#ifndef PENSTOCK_LOAD_ALTER_H
#define PENSTOCK_LOAD_ALTER_H

#include "change/change.h"
#include "load/target.h"

/*
 * Can the values of the old version be taken over as they are? Else ERROR_DATA with err->reload:
 * the key's columns or their types differ, or a column's type changed to one in which the same
 * value has another form (cidr to inet, oid to regclass) or may have been rewritten.
 */
bool alteration_check(const struct alteration *al, struct error *err);

/*
 * The target after the alteration, in arena a. now: the table as read from the event's schema of
 * the new version (columns in the order of al->now). al->was gives the numbers of dropped columns.
 * ERROR_DATA as target_new and alteration_check.
 */
bool target_alter(struct arena *a, const struct target *was, const struct table *now,
                  const struct alteration *al, struct target **out, struct error *err);

/*
 * The statements that turn was into now, in arena a, *n of them, in the order in which they are to
 * be run, before any row change of the transaction.
 */
void sql_alter(struct arena *a, const struct target *was, const struct target *now,
               const struct alteration *al, const char ***statements, int *n);
/*
 * The first column of now from index `from` on whose fill its type in the warehouse cannot hold
 * (*why says what it is: "NaN"), or -1. The statement that sql_alter makes for it fails when it is
 * run, with ERROR_DATA; a caller that looks here first can say it better or, under
 * value.overflow.mode null, fill with NULL.
 */
int alter_misfit(const struct target *now, const struct alteration *al, int from, const char **why);

#endif
