/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream: the connector's thread reads the log and fills the queue, the sink's thread empties
 * it; loads run beside them. Ends when asked to, when either side fails, or when a table stops.
 */
#include "pipeline/fresh.h"
#include "pipeline/load.h"
#include "pipeline/verify.h"
#include "util/log.h"
#include "util/mem.h"

#define POLL_MS 200

/* Every table that is known; of one that is loaded again, its live copy. */
static struct stream_table *stream_tables(struct pipeline *p, int *n)
{
    struct stream_table *t =
        arena_calloc(p->arena, (size_t)p->nflows + (size_t)p->nresumes + 1, sizeof(*t));
    int i, k;

    for (i = 0; i < p->nflows; i++) {
        t[i].table = p->flows[i]->table;
        t[i].s = p->flows[i]->rec.s;
        t[i].skip = !flow_streams(p->flows[i]);
    }
    *n = p->nflows;
    for (i = 0; i < p->nresumes; i++) {
        const struct flow *f = p->resumes[i];

        for (k = 0; k < p->nflows && p->flows[k]->table->oid != f->table->oid; k++)
            ;
        if (k < p->nflows && !t[k].skip)
            continue;
        if (k == p->nflows)
            k = (*n)++;
        t[k].table = f->table;
        t[k].s = f->rec.s;
        t[k].skip = !flow_streams(f);
    }
    return t;
}

static bool read_log(struct pipeline *p, struct feed *feed, struct sink *sink, struct loads *loads,
                     struct error *err)
{
    struct change_sink out = feed_change_sink(feed);

    while (!atomic_load(&p->stop) && !sink_ended(sink)) {
        bool drained = false;

        if (!p->o.source->stream_poll(p->src, POLL_MS, &out, &drained, err))
            return false;
        if (drained && !feed_flush(feed, err))
            return false;
        if (!loads_serve(loads, feed, err))
            return false;
        retained_look(p, false);
    }
    return true;
}

static void show_running(struct pipeline *p)
{
    board_set_state(p->o.board, p->o.source_name, CONNECTOR_RUNNING, CONNECTOR_RUNNING, NULL);
    board_set_state(p->o.board, p->o.sink_name, CONNECTOR_RUNNING, CONNECTOR_RUNNING, NULL);
}

enum outcome stream_run(struct pipeline *p, struct error *err)
{
    struct queue *q = queue_new((size_t)config_int(p->o.service_config, "queue.bytes"));
    struct sink *sink = sink_new(p, q);
    struct feed *feed = NULL;
    struct loads *loads = NULL;
    struct verify *verify = verify_new(p);
    struct error read_err = {0}, sink_err = {0};
    enum outcome outcome = OUTCOME_FAILED;
    struct stream_table *tables;
    bool read_ok;
    int n;

    tables = stream_tables(p, &n);
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->stream_start(p->src, p->checkpoint.position, tables, n, err))
        goto out;
    p->o.source->acknowledge(p->src, p->checkpoint.position);
    log_info("streaming from=%s tables=%d", p->checkpoint.position, n);
    p->failed_side = SIDE_SINK;
    if (p->warehouse_failed[0] != '\0')
        p->looked_ms = 0;          /* what was said of the slot is true no more */
    p->warehouse_failed[0] = '\0'; /* before the sink's thread looks at it */
    if (!sink_start(sink, err)) {  /* from here on the checkpoint is the sink's */
        p->o.source->stream_stop(p->src);
        goto out;
    }
    show_running(p);
    fresh_commit(p, p->checkpoint.commit_us);
    feed = feed_new(p, q, sink);
    read_ok = loads_start(&loads, p, feed, &read_err) && verify_start(verify, &read_err) &&
              read_log(p, feed, sink, loads, &read_err);
    verify_stop(verify);
    loads_stop(loads);
    queue_close(q);
    outcome = sink_join(sink, &sink_err);
    if (outcome == OUTCOME_FAILED) {
        *err = sink_err;
    } else if (outcome == OUTCOME_STOPPED && !read_ok && !atomic_load(&p->stop)) {
        p->failed_side = SIDE_SOURCE;
        *err = read_err;
        outcome = OUTCOME_FAILED;
    }
    if (read_ok && !p->o.source->stream_tick(p->src, &read_err))
        log_debug("the last acknowledgement was not sent: %s", read_err.message);
    p->o.source->stream_stop(p->src);
    if (atomic_load(&p->stop) && !atomic_load(&p->cancelled))
        retained_look(p, true); /* for the end's message */
out:
    feed_free(feed);
    sink_free(sink);
    loads_free(loads);
    verify_free(verify);
    queue_free(q, segment_free);
    return outcome;
}
