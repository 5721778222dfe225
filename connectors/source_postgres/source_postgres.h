/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the Postgres source share: one connector's state. Only files in this folder
 * include it (and connectors.c, for the const struct). The control connection and the facts belong
 * to the connector's thread; readers use only `target`, `settings` and their point.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_SOURCE_POSTGRES_H
#define PENSTOCK_SOURCE_POSTGRES_SOURCE_POSTGRES_H

#include "source.h"
#include "source_postgres/managed.h"
#include "source_postgres/pg_conn.h"

#include <stdatomic.h>

#define PG_NAME_SIZE 64 /* NAMEDATALEN: an identifier and its zero byte */
#define PG_LSN_SIZE 24  /* "FFFFFFFF/FFFFFFFF" */

enum publication_mode { PUBLICATION_FILTERED, PUBLICATION_DISABLED, PUBLICATION_ALL_TABLES };

/* From the settings; immutable after open. */
struct pg_settings {
    const char *prefix;
    const char *include; /* table.include.list; NULL: all */
    const char *exclude;
    char slot[PG_NAME_SIZE];
    char publication[PG_NAME_SIZE];
    enum publication_mode mode;
    int64_t chunk_pages;     /* heap blocks a chunk */
    int64_t key_chunk_bytes; /* larger tables are cut by ranges of their key */
    int64_t wait_notice_ms;  /* how often a wait for other transactions is said */
};

/* What the server is, read when the control connection is made. */
struct pg_facts {
    int version; /* server_version_num */
    char version_text[48];
    char wal_level[16];
    char system[64];
    uint32_t timeline;
    uint64_t timeline_began; /* where it forked off; 0: the first, or not known */
    uint32_t database_oid;
    char database[PG_NAME_SIZE];
    char encoding[32];
    char user[PG_NAME_SIZE];
    bool standby;
    bool superuser;
    bool may_replicate;
    bool bypass_rls;
    bool may_create; /* CREATE on the database */
    enum managed managed;
};

struct pg_stream;
struct watch;

struct source {
    const struct config *cfg;
    struct pg_settings settings;
    struct pg_target target;
    struct pg_cancel cancel;
    struct pg_conn *control; /* NULL until needed */
    bool has_facts;
    struct pg_facts facts;
    struct pg_stream *stream; /* NULL unless streaming */
    struct watch *watch;
    struct heartbeat *heartbeat;

    /* Shared with other threads. */
    _Atomic uint64_t acked;   /* the checkpoint's position */
    _Atomic uint64_t wal_end; /* the server's end of log as last heard; 0 unknown */
    struct pg_cancel wake;    /* set by acknowledge while the server waits for an answer */
    atomic_bool urgent;
};

extern const struct source_ops source_postgres_ops;

/* The control connection, made if there is none; ERROR_RETRY if the server behind the address is
 * not the one that connect met. */
MUST_CHECK bool pg_control(struct source *s, struct pg_conn **out, struct error *err);
/* What timeline_identify says, over a short walsender session. */
MUST_CHECK bool pg_identify(struct source *s, struct pg_facts *f, struct error *err);
/* *yes: the settings select schema.name; never system schemas nor our own. ERROR_CONFIG as
 * config_selects. */
MUST_CHECK bool pg_selects(const struct source *s, const char *schema, const char *name, bool *yes,
                           struct error *err);

/* "16/B374D848" <-> number. parse: false for anything else. */
bool pg_lsn_parse(const char *text, uint64_t *out);
char *pg_lsn_text(uint64_t lsn, char *out, size_t size);

#endif
