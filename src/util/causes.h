/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Causes that no server has a code for: one table row each (causes.c) with its name, its kind, what
 * it means and who must do what. The row fills the error, and docs/errors.md is made from it.
 *
 * Words in braces in a hint stand for names of the case: error_fill puts them in.
 */
#ifndef PENSTOCK_UTIL_CAUSES_H
#define PENSTOCK_UTIL_CAUSES_H

#include "util/error.h"

#include <stddef.h>

enum cause {
    /* connections */
    CAUSE_CONNECTION_LOST,
    CAUSE_SERVER_UNREACHABLE, /* {address} */
    CAUSE_NO_ANSWER,          /* {address} */
    CAUSE_SERVER_SILENT,
    CAUSE_PASSWORD_MISSING,  /* {password} */
    CAUSE_TLS_REFUSED,       /* {tls} */
    CAUSE_PARAMETER_REFUSED, /* {address}, {tls} */
    CAUSE_CANCELLED,
    CAUSE_PROTOCOL_BROKEN,
    CAUSE_SERVER_TOO_OLD,
    /* which server it is */
    CAUSE_OTHER_SERVER,
    CAUSE_OTHER_DATABASE,
    CAUSE_OTHER_TIMELINE,
    CAUSE_SERVER_CHANGED,
    CAUSE_SAME_DATABASE,
    /* the source's slot and publication */
    CAUSE_SLOT_MISSING,
    CAUSE_SLOT_LOST,
    CAUSE_SLOT_AHEAD,
    CAUSE_SLOT_MOVED,
    CAUSE_SLOT_FOREIGN,  /* {slot} */
    CAUSE_SLOT_UNUSABLE, /* {slot} */
    CAUSE_SLOT_IN_USE,
    CAUSE_SLOT_RENAMED,           /* {slot} */
    CAUSE_PUBLICATION_MISSING,    /* {sql} */
    CAUSE_PUBLICATION_DROPPED,    /* while tables were loaded */
    CAUSE_PUBLICATION_GAP,        /* made after changes that it should have held */
    CAUSE_PUBLICATION_INCOMPLETE, /* {publication} */
    CAUSE_PUBLICATION_SPLIT,      /* {publication} */
    CAUSE_LOCK_HELD,
    CAUSE_SNAPSHOT_GONE,
    /* the books in the warehouse */
    CAUSE_BOOKS_NEWER,
    CAUSE_BOOKS_RACE,
    CAUSE_BOOKS_UNREADABLE,
    CAUSE_CHECKPOINT_MOVED,
    CAUSE_CHECKPOINT_GONE,
    CAUSE_LOAD_TAKEN,
    CAUSE_FOLLOWED_ALREADY,
    /* connectors of one configuration */
    CAUSE_SOURCE_SHARED,
    CAUSE_SOURCE_ALONE, /* {prefix} */
    /* tables of the source */
    CAUSE_TABLE_UNREADABLE,   /* {table}, {role} */
    CAUSE_TABLE_HIDES_ROWS,   /* {role} */
    CAUSE_TABLE_KEYLESS,      /* {table} */
    CAUSE_TABLE_KEY_DEFERRED, /* {table} */
    CAUSE_TABLE_UNPUBLISHED,  /* {table}, {publication} */
    CAUSE_TABLE_EMPTY,
    CAUSE_PARTITION_UNLOGGED, /* {partition} */
    CAUSE_PARTITION_FOREIGN,
    CAUSE_PARTITION_IDENTITY, /* {partition}, {identity} */
    CAUSE_TABLE_CHANGED,
    CAUSE_TABLE_RESTLESS,
    CAUSE_KEY_NOT_LOGGED,
    CAUSE_COLUMN_NOT_LOGGED, /* {table} */
    CAUSE_NAME_REFUSED,
    CAUSE_SCHEMA_REFUSED,
    CAUSE_VALUE_INVALID,
    /* targets */
    CAUSE_VALUE_MISFIT,
    CAUSE_TARGET_FOREIGN,
    CAUSE_TARGET_ALTERED,
    CAUSE_TARGET_NEEDED,
    CAUSE_COPY_DIFFERS,
    /* files of this machine */
    CAUSE_DISK_FULL, /* {disk} */
    CAUSE_SPOOL_FULL,
    CAUSE_SPOOL_BROKEN,
    CAUSE_DATA_DIR_IN_USE,
    CAUSE_DATA_DIR_UNUSABLE,
    CAUSE_REGISTRY_BUSY,
    CAUSE_REGISTRY_UNUSABLE, /* {file} */
    CAUSE_REGISTRY_BROKEN,   /* {file} */
    CAUSE_REGISTRY_NEWER,
    CAUSE_REGISTRY_CONFLICT, /* {file} */
    CAUSE_MEMORY_SMALL,
    CAUSE_FILE_IN_USE,
    CAUSE_FILE_OPEN_TWICE,
    CAUSE_FILE_UNUSABLE,
    CAUSE_FILE_OTHER_VERSION, /* {version} */
    CAUSE_FILE_LOG_ALONE,
    CAUSE_FILE_LOG_BROKEN,
    CAUSE_FILE_BROKEN,
    CAUSE_COUNT
};

/* What an error with a code or name means for us: a row of this table, or of a connector's. */
struct error_note {
    const char *code; /* SQLSTATE or class, the engine's own name, or "" */
    const char *name; /* "slot-missing", "invalid_password" */
    enum error_kind kind;
    const char *meaning; /* one sentence without its full stop */
    const char *who;     /* who must do what; "": nobody, it passes by itself */
};

const struct error_note *cause_note(enum cause c);

/* Sets kind, cause and hint from the table, and the message. Returns false. err may be NULL. */
bool error_cause(struct error *err, enum cause c, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* An error that is set has this cause: kind and hint are the table's, message and SQLSTATE stay.
 * Returns false. */
bool error_because(struct error *err, enum cause c);

#endif
