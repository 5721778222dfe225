/* SPDX-License-Identifier: Apache-2.0 */
/* What stream.c (the connection) and stream_messages.c (what it carries) share. */
#ifndef PENSTOCK_SOURCE_POSTGRES_STREAM_INTERNAL_H
#define PENSTOCK_SOURCE_POSTGRES_STREAM_INTERNAL_H

#include "source_postgres/relation.h"
#include "source_postgres/stream.h"

struct pg_stream {
    struct source *source;
    struct pg_conn *conn;
    struct relations *relations;
    struct pgoutput_decoder decoder;
    struct arena *message; /* of one message */

    uint64_t start; /* transactions that committed before are skipped */
    bool in_tx;     /* between B and C */
    bool skip_tx;   /* it is contained in the start position */
    bool begun;     /* the sink was told of it */
    struct transaction tx;
    uint64_t final_lsn;

    uint64_t idle_at; /* everything before was handed on; told to the sink when due */
    uint64_t idle_told;
    int64_t idle_told_ms;

    int64_t heard_ms; /* when the server last sent anything */

    int64_t status_every_ms;
    int64_t status_at_ms; /* when the last one was sent */
    uint64_t status_lsn;  /* what it acknowledged */
};

/* Handles one CopyData message. *reply: the server asks for status now. */
MUST_CHECK bool stream_message(struct pg_stream *st, const void *data, size_t len,
                               const struct change_sink *sink, bool *reply, struct error *err);
/* Tells the sink what idle_at says, if it is news and time. */
MUST_CHECK bool stream_tell_idle(struct pg_stream *st, const struct change_sink *sink, bool urgent,
                                 struct error *err);

#endif
