/* SPDX-License-Identifier: Apache-2.0 */
/* Which connectors people have paused, in a file of data.dir: a restart does not resume them. */
#ifndef PENSTOCK_PIPELINE_WISHES_H
#define PENSTOCK_PIPELINE_WISHES_H

#include "state/board.h"

/* Tells the board. What is not there, or names no connector, counts for nothing. */
void wishes_read(const char *data_dir, struct board *b);
/* Writes those that the board has paused. False: that failed, which is logged if say. */
bool wishes_write(const char *data_dir, struct board *b, bool say);

#endif
