/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes on, kept current at the foot of a terminal (stderr): while tables are copied, those
 * that move, each with rows, rate and time left, and a line for all; then one line. Nothing where
 * stderr is no terminal, or a dumb one.
 */
#ifndef PENSTOCK_CLI_PROGRESS_H
#define PENSTOCK_CLI_PROGRESS_H

#include "state/board.h"

/* True if there is a terminal that progress can be shown on. */
bool progress_possible(void);
/* tables: also a line for each table that is copied. warehouse: its name for people; borrowed. */
void progress_start(struct board *b, const char *warehouse, bool tables);
/* Call a few times a second. */
void progress_draw(void);
/* Above what is kept current, a line that stays; only with tables: else the log says it. */
void progress_say(const char *line);
/* The last state stays where it is. */
void progress_stop(void);

#endif
