/* SPDX-License-Identifier: Apache-2.0 */
#include "util/log.h"

#include "util/buf.h"
#include "util/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int log_threshold = LOG_INFO;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*hook_before)(void);
static void (*hook_after)(void);
static _Thread_local const char *log_connector;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level)
{
    atomic_store(&log_threshold, (int)level);
}

void log_set_connector(const char *name)
{
    log_connector = name;
}

void log_set_hooks(void (*before)(void), void (*after)(void))
{
    pthread_mutex_lock(&log_lock);
    hook_before = before;
    hook_after = after;
    pthread_mutex_unlock(&log_lock);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char text[4096];
    char line[4352];
    char iso[40];
    va_list ap;
    int n;
    char *p;
    ssize_t ignored;

    if ((int)level > atomic_load(&log_threshold))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20)
            *p = ' '; /* a server's message must not forge a line */
    }
    clock_iso(clock_wall_us(), iso, sizeof(iso));
    n = snprintf(line, sizeof(line), "%s %-5s %s%s%s\n", iso, level_names[level], text,
                 log_connector ? " connector=" : "", log_connector ? log_connector : "");
    if (n >= (int)sizeof(line))
        n = (int)sizeof(line) - 1;
    pthread_mutex_lock(&log_lock);
    if (hook_before)
        hook_before();
    ignored = write(STDERR_FILENO, line, (size_t)n);
    (void)ignored;
    if (hook_after)
        hook_after();
    pthread_mutex_unlock(&log_lock);
}

void log_failure(enum log_level level, const char *what, const struct error *err)
{
    log_write(level, "%s: %s%s%s%s%s%s kind=%s%s%s", what, err->message,
              err->sqlstate[0] ? " (" : "", err->sqlstate, err->sqlstate[0] ? ")" : "",
              err->hint[0] ? "; to mend it: " : "", err->hint, error_kind_name(err->kind),
              err->cause != NULL ? " cause=" : "", err->cause != NULL ? err->cause : "");
}
