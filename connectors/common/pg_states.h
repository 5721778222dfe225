/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each SQLSTATE of PostgreSQL (manual, appendix A) means for us, at the source and at the
 * warehouse: data only. Whole states come before their class; the first row that fits and has a
 * kind for the side counts; the last row fits every state.
 */
#ifndef PENSTOCK_COMMON_PG_STATES_H
#define PENSTOCK_COMMON_PG_STATES_H

#include "util/causes.h"

enum pg_side { PG_SOURCE, PG_WAREHOUSE, PG_SIDES };

/* What the server's words may hold. */
enum pg_words {
    PG_WORDS_PLAIN,  /* names of objects and settings */
    PG_WORDS_VALUES, /* a row's value, in quotes or behind a colon */
    PG_WORDS_FOREIGN /* whatever a user's function says: at a warehouse, values of the rows */
};

struct pg_meaning {
    enum error_kind kind; /* ERROR_NONE: it cannot come up on this side */
    const char *who;      /* with {role} and {database}, put in as SQL identifiers */
};

struct pg_state {
    const char *state; /* five characters, the two of a class, or none: any other */
    const char *name;  /* the manual's condition name; of a class, its title */
    const char *meaning;
    struct pg_meaning side[PG_SIDES];
    enum pg_words words;
};

extern const struct pg_state pg_states[]; /* ended by a NULL state */

/* 42501 says in words what is missing: who must do what where the message begins so. */
struct pg_privilege {
    const char *begins;
    const char *who[PG_SIDES]; /* with {role}, and what follows as {object} (an SQL identifier) or
                                  {rest} (as it stands); NULL: as 42501 */
};

extern const struct pg_privilege pg_privileges[]; /* ended by a NULL text */

/* Never NULL. NULL, "" and what is no SQLSTATE get the last row, "any other". */
const struct pg_state *pg_state_find(enum pg_side side, const char *sqlstate);
/* NULL and "" (no state at all: the connection is lost) are ERROR_RETRY. */
enum error_kind pg_state_kind(enum pg_side side, const char *sqlstate);

/* The i-th row of docs/errors.md for a side, without what cannot come up there; false: there are
 * no more. */
bool pg_state_note(enum pg_side side, size_t i, struct error_note *out);

#endif
