/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where going on could not be exact: another server, database or slot than the warehouse was filled
 * from, a timeline that forked before the checkpoint, log that is gone, a slot that was moved past
 * the checkpoint. Each refusal says why and what to do.
 */
#include "pipeline/internal.h"
#include "util/causes.h"

#include <stdio.h>
#include <string.h>

bool refuse_same_database(struct pipeline *p, struct error *err)
{
    char warehouse[256], source[256];

    if (!p->o.warehouse->identity(p->wh, warehouse, sizeof(warehouse), err))
        return false;
    snprintf(source, sizeof(source), "%s/%u", p->identity.system, p->identity.database_oid);
    if (strcmp(warehouse, source) != 0)
        return true;
    return error_cause(err, CAUSE_SAME_DATABASE, "source and warehouse are the same database (%s)",
                       p->identity.database);
}

bool refuse_identity(const struct source_identity *was, const struct source_identity *is,
                     struct error *err)
{
    if (strcmp(was->system, is->system) != 0)
        return error_cause(err, CAUSE_OTHER_SERVER,
                           "this is another server: the warehouse was filled from system %s, the "
                           "source is system %s",
                           was->system, is->system);
    if (strcmp(was->database, is->database) != 0 || was->database_oid != is->database_oid)
        return error_cause(err, CAUSE_OTHER_DATABASE,
                           "this is another database: the warehouse was filled from %s (oid %u), "
                           "the source is %s (oid %u)",
                           was->database, was->database_oid, is->database, is->database_oid);
    if (strcmp(was->mark, is->mark) == 0)
        return true;
    error_cause(err, CAUSE_SLOT_RENAMED, "the warehouse follows slot %s, the settings say slot %s",
                was->mark, is->mark);
    error_fill(err, "slot", was->mark);
    return false;
}

bool refuse_timeline(struct pipeline *p, struct error *err)
{
    const struct source_identity *was = &p->checkpoint.identity;
    char why[512] = "";
    bool follows;

    /* Books of before may not say where it began. */
    if (was->timeline == p->identity.timeline &&
        (was->timeline_began[0] == '\0' ||
         strcmp(was->timeline_began, p->identity.timeline_began) == 0))
        return true;
    if (!p->o.source->timeline_follows(p->src, was, p->checkpoint.position, &follows, why,
                                       sizeof(why), err))
        return false;
    if (follows)
        return true;
    error_cause(err, CAUSE_OTHER_TIMELINE,
                "the server is on timeline %u (a standby was promoted or a backup restored), the "
                "warehouse was filled from timeline %u up to its checkpoint %s: %s",
                p->identity.timeline, was->timeline, p->checkpoint.position, why);
    return error_hint(err,
                      "point the connector at the server that went on with timeline %u, or set "
                      "snapshot.mode to when_needed and restart: all tables are loaded again",
                      was->timeline);
}

bool refuse_mark(struct pipeline *p, const struct mark *m, struct error *err)
{
    const char *slot = p->identity.mark;

    if (m->state == MARK_MISSING)
        return error_cause(err, CAUSE_SLOT_MISSING,
                           "slot %s does not exist any more: what was written since %s cannot be "
                           "read",
                           slot, p->checkpoint.position);
    if (m->state == MARK_LOST)
        return error_cause(err, CAUSE_SLOT_LOST,
                           "slot %s is lost (%s): the server has removed log that we still need",
                           slot, m->why);
    if (p->o.source->position_compare(m->position, p->checkpoint.position) <= 0)
        return true;
    return error_cause(err, CAUSE_SLOT_AHEAD,
                       "slot %s was confirmed up to %s, past the warehouse's checkpoint %s: "
                       "somebody else has read from it or moved it, and changes between the two "
                       "are gone",
                       slot, m->position, p->checkpoint.position);
}
