/* SPDX-License-Identifier: Apache-2.0 */
/* The words of progress.h: pure, for a screen of any size. */
#ifndef PENSTOCK_CLI_PROGRESS_TEXT_H
#define PENSTOCK_CLI_PROGRESS_TEXT_H

#include "util/buf.h"

#include <stdbool.h>

enum { PROGRESS_LINES = 9 }; /* at most, the summary included */

struct progress_table {
    const char *name;
    int64_t rows;
    int64_t total; /* estimate; below 0: not known */
    double rate;   /* rows a second; below 0: not known yet */
};

struct progress_view {
    int tables, loading, copied, stopped; /* copied: loading no more, or as good as */
    int64_t rows, total;                  /* of all that are loading or were; total below 0 */
    int64_t rows_known;                   /* in the warehouse altogether */
    double rate;
    int64_t lag_bytes; /* below 0: not known */
    int64_t age_ms;    /* of the newest in the warehouse; below 0: not known */
    int64_t commit_us; /* the source's last commit in the warehouse; 0: not known */
    const char *warehouse;
    const char *trouble; /* NULL, or why it does not go on */
    const struct progress_table *active;
    int nactive;
};

/* The lines for a screen of so many columns and rows, each ended by \n and shorter than the screen
 * is wide; returns how many. */
int progress_text(const struct progress_view *v, int columns, int rows, struct buf *out);
/* Columns that a text takes. */
int progress_columns(const char *text);
const char *progress_bytes(int64_t bytes, char *out, size_t size);
const char *progress_duration(int64_t seconds, char *out, size_t size);

#endif
