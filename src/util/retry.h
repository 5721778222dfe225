/* SPDX-License-Identifier: Apache-2.0 */
/* Exponential back-off with jitter: 0.2 s doubling to 30 s, each wait 50 to 100 % of its step. */
#ifndef PENSTOCK_UTIL_RETRY_H
#define PENSTOCK_UTIL_RETRY_H

struct retry {
    unsigned attempt; /* failures in a row; zero-initialise */
    unsigned seed;
};

/* Counts one more failure; returns the milliseconds to wait before the next try. */
int retry_next_ms(struct retry *r);
void retry_reset(struct retry *r);

#endif
