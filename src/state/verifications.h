/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifications that people ask for: the HTTP server adds and shows them, a pipeline's thread takes
 * the oldest that waits for its source and says how it goes. The last VERIFICATIONS_KEPT are kept,
 * in memory only. Thread-safe.
 */
#ifndef PENSTOCK_STATE_VERIFICATIONS_H
#define PENSTOCK_STATE_VERIFICATIONS_H

#include "change/qualified.h"
#include "util/arena.h"

#include <jansson.h>
#include <stdint.h>

enum { VERIFICATIONS_KEPT = 16 };

enum verification_state {
    VERIFICATION_WAITING,
    VERIFICATION_RUNNING,
    VERIFICATION_DONE,
    VERIFICATION_FAILED,
    VERIFICATION_CANCELLED
};

struct verification {
    int64_t id;
    const char *connector; /* the source's name */
    const struct qualified *tables;
    int n;
    bool repair;
    int limit;          /* differences that are listed of each table */
    int64_t timeout_ms; /* for each exact point, and until the stream is there */
};

struct verifications;

struct verifications *verifications_new(void);
void verifications_free(struct verifications *v); /* accepts NULL */

/* Copies it, but for its id, which it gets. False: as many as are kept have not ended yet. */
bool verifications_add(struct verifications *v, const struct verification *what, int64_t *id);
/* As JSON, the caller's: one, NULL if there is none of that id; all, without their differences. */
json_t *verifications_one(struct verifications *v, int64_t id);
json_t *verifications_all(struct verifications *v);
/* What waits is cancelled at once, what runs soon; what has ended stays as it is. False: there is
 * none of that id. */
bool verifications_cancel(struct verifications *v, int64_t id);

/* The oldest that waits for this source runs from now on; a copy in arena a. */
bool verifications_take(struct verifications *v, const char *connector, struct arena *a,
                        struct verification *out);
bool verifications_is_cancelled(struct verifications *v, int64_t id);
/* What it is at, for people. */
void verifications_say(struct verifications *v, int64_t id, const char *doing);
/* What is to be said of its i-th table; takes j. */
void verifications_table(struct verifications *v, int64_t id, int i, json_t *j);
/* It has ended. error: for people, or NULL. */
void verifications_end(struct verifications *v, int64_t id, enum verification_state state,
                       const char *error);

#endif
