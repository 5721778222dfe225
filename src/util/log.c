/* SPDX-License-Identifier: Apache-2.0 */
#include "util/log.h"

#include "util/clock.h"
#include "util/codepoint.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_TEXT = 4096, MAX_NAME = 512 };

static atomic_int log_threshold = LOG_INFO;
static atomic_bool log_json;
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

void log_set_json(bool json)
{
    atomic_store(&log_json, json);
}

bool log_is_json(void)
{
    return atomic_load(&log_json);
}

/* Plain UTF-8: only two characters have to be escaped. Cut at size, between characters. */
static size_t put_json(char *out, size_t size, const char *key, const char *value)
{
    size_t n = (size_t)snprintf(out, size, "\"%s\":\"", key);

    while (*value != '\0') {
        size_t len = codepoint_next(value, NULL);

        if (n + len + 4 > size)
            break;
        if (*value == '"' || *value == '\\')
            out[n++] = '\\';
        memcpy(out + n, value, len);
        n += len;
        value += len;
    }
    out[n++] = '"';
    out[n] = '\0';
    return n;
}

static size_t json_line(char *line, size_t size, const char *iso, enum log_level level,
                        const char *text, const char *connector)
{
    size_t n =
        (size_t)snprintf(line, size, "{\"time\":\"%s\",\"level\":\"%s\",", iso, level_names[level]);

    n += put_json(line + n, size - n - MAX_NAME - 32, "message", text);
    if (connector != NULL) {
        line[n++] = ',';
        n += put_json(line + n, MAX_NAME, "connector", connector);
    }
    return n + (size_t)snprintf(line + n, size - n, "}\n");
}

static size_t text_line(char *line, size_t size, const char *iso, enum log_level level,
                        const char *text, const char *connector)
{
    int n = snprintf(line, size, "%s %-5s %s%s%s\n", iso, level_names[level], text,
                     connector ? " connector=" : "", connector ? connector : "");

    return n < (int)size ? (size_t)n : size - 1;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char text[MAX_TEXT], connector[MAX_NAME / 2];
    char line[2 * MAX_TEXT + MAX_NAME];
    char iso[40];
    const char *who = NULL;
    va_list ap;
    size_t n;
    ssize_t ignored;

    if ((int)level > atomic_load(&log_threshold))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    codepoint_make_plain(text); /* a server's message must not forge a line */
    if (log_connector != NULL) {
        snprintf(connector, sizeof(connector), "%s", log_connector);
        codepoint_make_plain(connector);
        who = connector;
    }
    clock_iso(clock_wall_us(), iso, sizeof(iso));
    n = (log_is_json() ? json_line : text_line)(line, sizeof(line), iso, level, text, who);
    pthread_mutex_lock(&log_lock);
    if (hook_before)
        hook_before();
    ignored = write(STDERR_FILENO, line, n);
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
