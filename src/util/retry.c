/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seed is the kernel's: services that one power cut or one script started in the same
 * microsecond must not wait in step for the same server.
 */
#include "util/retry.h"

#include "util/clock.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static unsigned new_seed(void)
{
    unsigned seed = 0;

    /* Early at boot the kernel may have none yet; then the process id tells two services apart. */
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
        seed = (unsigned)clock_wall_us() ^ (unsigned)getpid() << 16;
    return seed | 1u;
}

int retry_next_ms(struct retry *r)
{
    int step = RETRY_FIRST_MS;
    unsigned i;

    if (r->seed == 0)
        r->seed = new_seed();
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
