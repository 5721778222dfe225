/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One error, owned by the caller. Who knows the cause fills it, who passes it on may prefix it,
 * who handles it logs it, once. The kind is what the next layer decides on.
 *
 * A function that can fail returns bool and takes a struct error *; on false the error is set.
 * Messages carry SQLSTATE and object names, never row values, never secrets.
 */
#ifndef PENSTOCK_UTIL_ERROR_H
#define PENSTOCK_UTIL_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

enum error_kind {
    ERROR_NONE = 0,
    ERROR_RETRY,  /* the cause may go away by itself: connection lost, deadlock, server starting */
    ERROR_CONFIG, /* a person must change a setting, a right or a server parameter */
    ERROR_DATA,   /* a value or a schema that cannot be carried: stops one table */
    ERROR_CONFLICT, /* another owner of the slot, the target or the checkpoint */
    ERROR_FATAL     /* exactness is lost or our own invariant is broken: stop */
};

struct error {
    enum error_kind kind;
    char sqlstate[6];   /* "" if not from a database */
    char message[1024]; /* what happened: one line, no trailing newline */
    char hint[1024];    /* who must do what, with the exact SQL or setting; may be "" */
    const char *cause;  /* its name in docs/errors.md (a literal), NULL if it has none */
    unsigned table;     /* source id (oid) of the table to blame, 0 if none */
    bool reload; /* ERROR_DATA: the copy differs from the log: a load of the table mends it */
};

/* Each returns false, so that "return error_set(...)" reads well. err may be NULL. */
bool error_set(struct error *err, enum error_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Adds who must do what. Returns false. */
bool error_hint(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts value in the place of each "{name}" of the hint. Returns false. */
bool error_fill(struct error *err, const char *name, const char *value);
/* Puts "prefix: " before the message. Returns false. */
bool error_prefix(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
void error_clear(struct error *err);
const char *error_kind_name(enum error_kind kind);

#endif
