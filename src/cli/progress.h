/* SPDX-License-Identifier: Apache-2.0 */
/* One line that keeps itself current on a terminal (stderr); nothing elsewhere. */
#ifndef PENSTOCK_CLI_PROGRESS_H
#define PENSTOCK_CLI_PROGRESS_H

#include "state/board.h"

void progress_start(struct board *b);
/* Call a few times a second. */
void progress_draw(void);
void progress_stop(void);

#endif
