/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back-off with jitter: 0.2 s doubling to 30 s, each wait 50 to 100 % of its step, so that what
 * failed together does not come back together.
 */
#ifndef PENSTOCK_UTIL_RETRY_H
#define PENSTOCK_UTIL_RETRY_H

#define RETRY_FIRST_MS 200
#define RETRY_CAP_MS 30000
/* What a person has to mend is tried again this often, without back-off. */
#define RETRY_CONFIG_MS 10000

struct retry {
    unsigned attempt; /* failures in a row; zero-initialise */
    unsigned seed;    /* 0: not chosen yet */
};

/* Counts one more failure; returns the milliseconds to wait before the next try. */
int retry_next_ms(struct retry *r);
void retry_reset(struct retry *r);

#endif
