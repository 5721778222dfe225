/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs are events with a context, "what key=value ...", one line each, on stderr. error needs a
 * person, warn will be retried, info is a change of state or a commit, debug is per batch.
 * Row values and secrets never appear: nor do control characters, whatever a server said.
 * Thread-safe.
 */
#ifndef PENSTOCK_UTIL_LOG_H
#define PENSTOCK_UTIL_LOG_H

#include "util/error.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* The least important level that is written; default LOG_INFO. */
void log_set_level(enum log_level level);
/* Lines are JSON objects with "time", "level", "message" and, where it is known, "connector": valid
 * whatever the message holds. */
void log_set_json(bool json);
bool log_is_json(void);
/* Appended to every line of this thread as connector=NAME; NULL for none; borrowed. */
void log_set_connector(const char *name);
/* Called before and after a line is written: a progress display can step aside. May be NULL. */
void log_set_hooks(void (*before)(void), void (*after)(void));
void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "what: message (SQLSTATE)" and, where there is one, the hint: one line. */
void log_failure(enum log_level level, const char *what, const struct error *err);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
