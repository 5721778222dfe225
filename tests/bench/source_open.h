/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source connector on a benchmark's server, as the service opens it: its table, the encoder of
 * its events, and what every event says of its transaction.
 */
#ifndef PENSTOCK_TESTS_BENCH_SOURCE_OPEN_H
#define PENSTOCK_TESTS_BENCH_SOURCE_OPEN_H

#include "server.h"

#include "avro/codec.h"
#include "config/file.h"
#include "source_postgres/source_postgres.h"
#include "util/log.h"

struct bench_source {
    struct source *source;
    struct config *config;
    struct arena *arena;
    struct source_table *tables;
    int ntables;
    int64_t s;
    char position[POSITION_SIZE];
    char version[64];
    struct encoder *encoder;
    struct event_meta meta;
    struct source_point *point; /* as long as it is kept */
};

static inline void bench_source_fail(const struct error *err)
{
    fprintf(stderr, "bench: %s %s\n", err->message, err->hint);
    exit(1);
}

/* slot: made at the point, with the publication of the same name. */
static inline void bench_source_open(struct bench_source *r, const struct server *s, bool tcp,
                                     const char *slot, bool keep_point)
{
    const struct source_ops *ops = &source_postgres_ops;
    const struct setting *const settings[] = {config_source_settings, ops->settings, NULL};
    char port[16];
    const char *const pairs[] = {"topic.prefix",
                                 "shop",
                                 "database.hostname",
                                 server_host(s, tcp),
                                 "database.port",
                                 port,
                                 "database.user",
                                 "postgres",
                                 "database.dbname",
                                 "postgres",
                                 "slot.name",
                                 slot,
                                 "publication.name",
                                 slot,
                                 NULL};
    struct source_identity id;
    struct error err = {0};

    log_set_level(LOG_WARN);
    memset(r, 0, sizeof(*r));
    r->arena = arena_new("bench");
    snprintf(port, sizeof(port), "%d", s->port);
    if (!config_make(&r->config, "bench", settings, pairs, &err) ||
        !ops->open(&r->source, r->config, &err) || !ops->connect(r->source, &id, &err) ||
        !ops->prepare(r->source, &err) ||
        !ops->point_open(r->source, true, &r->point, &r->s, r->position, &err) ||
        !ops->point_tables(r->point, r->arena, &r->tables, &r->ntables, &err))
        bench_source_fail(&err);
    if (!keep_point) {
        ops->point_close(r->point);
        r->point = NULL;
    }
    if (r->ntables != 1 || r->tables[0].refused != NULL)
        server_fail("the table cannot be replicated");
    snprintf(r->version, sizeof(r->version), "%s", id.version);
    r->encoder = encoder_new(r->tables[0].table, ops->block, 1, 2);
    r->meta.server_name = "shop";
    r->meta.database = "postgres";
    r->meta.snapshot = "false";
}

static inline void bench_source_close(struct bench_source *r)
{
    source_postgres_ops.point_close(r->point);
    encoder_free(r->encoder);
    source_postgres_ops.close(r->source);
    config_free(r->config);
    arena_free(r->arena);
}

#endif
