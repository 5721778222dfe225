/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of this process, for the metrics that Prometheus' own clients have. */
#ifndef PENSTOCK_METRICS_PROCESS_H
#define PENSTOCK_METRICS_PROCESS_H

#include <stdint.h>

/* 0: it could not be read. */
struct process_facts {
    int64_t resident_bytes, virtual_bytes;
    int64_t cpu_us;
    int64_t started_us; /* since 1970 */
    int64_t open_fds, max_fds;
};

void process_look(struct process_facts *out);

#endif
