/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes <-> messages of logical replication with pgoutput, proto_version 1 (PostgreSQL manual,
 * "Logical Replication Message Formats" and "Streaming Replication Protocol"). Pure: no sockets,
 * no state but the caller's arrays. Integers are big endian, an LSN is 8 bytes, times are us
 * since 2000-01-01 UTC.
 *
 * Everything is borrowed from the message's bytes. Any input gives a message or an error:
 * ERROR_RETRY with the offset for broken or truncated bytes (the connection is dropped and the
 * log read again), ERROR_FATAL for a message that this protocol version does not have.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_PGOUTPUT_H
#define PENSTOCK_SOURCE_POSTGRES_PGOUTPUT_H

#include "source_postgres/pg_cell.h"
#include "util/arena.h"

#include <stdbool.h>
#include <stdint.h>

enum pgoutput_tag {
    PGOUTPUT_BEGIN = 'B',
    PGOUTPUT_COMMIT = 'C',
    PGOUTPUT_ORIGIN = 'O',
    PGOUTPUT_RELATION = 'R',
    PGOUTPUT_TYPE = 'Y',
    PGOUTPUT_INSERT = 'I',
    PGOUTPUT_UPDATE = 'U',
    PGOUTPUT_DELETE = 'D',
    PGOUTPUT_TRUNCATE = 'T',
    PGOUTPUT_MESSAGE = 'M',
    PGOUTPUT_STREAM_ABORT = 'A' /* stray: PostgreSQL 18 was seen to send it; to be ignored */
};

#define PGOUTPUT_TRUNCATE_CASCADE 1
#define PGOUTPUT_TRUNCATE_RESTART_IDENTITY 2
#define PGOUTPUT_COLUMN_IDENTITY 1 /* part of the replica identity; every column under FULL */

struct pgoutput_column {
    uint8_t flags;
    const char *name;
    uint32_t type_oid; /* a domain's own */
    int32_t typmod;    /* -1: none; a domain's is in pg_type instead */
};

/* Zero-initialised is empty; grows as needed. */
struct pgoutput_tuple {
    struct pg_cell *cells;
    int ncols;
    int cap;
};

struct pgoutput_begin {
    uint64_t final_lsn; /* start of the commit record */
    int64_t commit_time;
    uint32_t xid;
};

struct pgoutput_commit {
    uint8_t flags;
    uint64_t commit_lsn;
    uint64_t end_lsn; /* what is acknowledged once the transaction is durable */
    int64_t commit_time;
};

struct pgoutput_relation {
    uint32_t oid;
    const char *schema; /* "pg_catalog" is sent as "" and stands here in full */
    const char *name;
    char replica_identity; /* d n f i */
    int ncols;
    const struct pgoutput_column *columns; /* in the arena */
};

struct pgoutput_row {
    uint32_t oid;
    char old_kind; /* 'K': key only, other columns 'n' mean absent; 'O': complete; 0: not sent */
    bool has_new;
    /* The tuples are in the decoder: old if old_kind, after if has_new; until the next call. */
};

struct pgoutput_truncate {
    uint8_t flags;
    int count;
    const uint32_t *oids; /* in the arena */
};

struct pgoutput_message {
    enum pgoutput_tag tag;
    union {
        struct pgoutput_begin begin;
        struct pgoutput_commit commit;
        struct {
            uint64_t lsn;
            const char *name;
        } origin;
        struct pgoutput_relation relation;
        struct {
            uint32_t oid;
            const char *schema;
            const char *name; /* for a domain the base type's */
        } type;
        struct pgoutput_row row; /* INSERT, UPDATE, DELETE */
        struct pgoutput_truncate truncate;
        struct {
            bool transactional;
            uint64_t lsn;
            const char *prefix;
            const uint8_t *content;
            size_t len;
        } message;
    };
};

struct pgoutput_decoder {
    struct pgoutput_tuple old;
    struct pgoutput_tuple after;
    uint64_t stray_aborts; /* counted, ignored */
};

void pgoutput_decoder_free(struct pgoutput_decoder *d); /* what it holds, not d itself */
/* a holds the arrays of RELATION and TRUNCATE; names and values stay in data. */
bool pgoutput_decode(struct pgoutput_decoder *d, struct arena *a, const void *data, size_t len,
                     struct pgoutput_message *m, struct error *err) MUST_CHECK;

/* What a CopyData message of START_REPLICATION holds. */
struct pgoutput_copy {
    char tag;           /* 'w': XLogData, 'k': primary keepalive */
    uint64_t start_lsn; /* w */
    uint64_t wal_end;
    int64_t send_time;
    bool reply_now;         /* k */
    const uint8_t *payload; /* w: the message for pgoutput_decode */
    size_t payload_len;
};

bool pgoutput_copy_data(const void *data, size_t len, struct pgoutput_copy *out,
                        struct error *err) MUST_CHECK;

#define PGOUTPUT_STATUS_SIZE 34
/* The standby status update 'r'; clock in us since 2000-01-01. */
void pgoutput_status(uint8_t out[PGOUTPUT_STATUS_SIZE], uint64_t written, uint64_t flushed,
                     uint64_t applied, int64_t clock, bool reply_now);

#endif
