/* SPDX-License-Identifier: Apache-2.0 */
/* Time: monotonic milliseconds for waits, wall-clock microseconds since 1970 for people. */
#ifndef PENSTOCK_UTIL_CLOCK_H
#define PENSTOCK_UTIL_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_mono_ms(void);
int64_t clock_wall_us(void);
void clock_sleep_ms(int ms);
/* "2026-01-31T10:00:00.123456Z"; out holds at least 40 bytes. Returns out. */
char *clock_iso(int64_t wall_us, char *out, size_t size);

#endif
