/* SPDX-License-Identifier: Apache-2.0 */
#include "util/retry.h"

#include "util/clock.h"

#include <stdlib.h>

#define RETRY_FIRST_MS 200
#define RETRY_CAP_MS 30000

int retry_next_ms(struct retry *r)
{
    int step = RETRY_FIRST_MS;
    unsigned i;

    if (r->seed == 0)
        r->seed = (unsigned)clock_wall_us() | 1u;
    for (i = 0; i < r->attempt && step < RETRY_CAP_MS; i++)
        step *= 2;
    if (step > RETRY_CAP_MS)
        step = RETRY_CAP_MS;
    r->attempt++;
    return step / 2 + (int)((unsigned)rand_r(&r->seed) % (unsigned)(step / 2 + 1));
}

void retry_reset(struct retry *r)
{
    r->attempt = 0;
}
