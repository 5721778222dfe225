/* SPDX-License-Identifier: Apache-2.0 */
#include "util/error.h"

#include <stdio.h>
#include <string.h>

bool error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return false;
    memset(err, 0, sizeof(*err));
    err->kind = kind;
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    return false;
}

bool error_hint(struct error *err, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return false;
    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
    va_end(ap);
    return false;
}

bool error_fill(struct error *err, const char *name, const char *value)
{
    char hint[sizeof(err->hint)];
    size_t n = 0, len = strlen(name);
    const char *p;

    if (err == NULL)
        return false;
    for (p = err->hint; *p != '\0' && n < sizeof(hint) - 1;) {
        if (*p == '{' && strncmp(p + 1, name, len) == 0 && p[1 + len] == '}') {
            size_t add = strnlen(value, sizeof(hint) - 1 - n);

            memcpy(hint + n, value, add);
            n += add;
            p += len + 2;
        } else {
            hint[n++] = *p++;
        }
    }
    hint[n] = '\0';
    memcpy(err->hint, hint, n + 1);
    return false;
}

bool error_prefix(struct error *err, const char *fmt, ...)
{
    char prefix[sizeof(err->message)];
    size_t n, keep;
    va_list ap;

    if (err == NULL)
        return false;
    va_start(ap, fmt);
    vsnprintf(prefix, sizeof(prefix) - 2, fmt, ap);
    va_end(ap);
    strcat(prefix, ": ");
    n = strlen(prefix);
    keep = strnlen(err->message, sizeof(err->message) - 1 - n);
    memmove(err->message + n, err->message, keep);
    memcpy(err->message, prefix, n);
    err->message[n + keep] = '\0';
    return false;
}

void error_clear(struct error *err)
{
    memset(err, 0, sizeof(*err));
}

const char *error_kind_name(enum error_kind kind)
{
    switch (kind) {
    case ERROR_NONE:
        return "none";
    case ERROR_RETRY:
        return "retry";
    case ERROR_CONFIG:
        return "configuration";
    case ERROR_DATA:
        return "data";
    case ERROR_CONFLICT:
        return "conflict";
    case ERROR_FATAL:
        return "fatal";
    }
    return "unknown";
}
