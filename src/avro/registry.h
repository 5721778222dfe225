/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded schema registry: subjects with versions, schemas with ids, compatibility modes;
 * Confluent's semantics (same text -> same id). Kept in one SQLite file under data.dir, which is
 * scratch: after its loss the warehouse's bookkeeping seeds it again (registry_seed). All
 * functions may be called from any thread.
 */
#ifndef PENSTOCK_AVRO_REGISTRY_H
#define PENSTOCK_AVRO_REGISTRY_H

#include "avro/compat.h"
#include "util/arena.h"

#include <stdint.h>

struct registry;

/* path: the SQLite file, made if missing; ":memory:" for tests. */
bool registry_open(struct registry **out, const char *path, struct error *err);
void registry_close(struct registry *r); /* accepts NULL */
/*
 * Registers schema under subject if it is new there, checked under the subject's mode (default
 * BACKWARD). ERROR_DATA, naming the field, if it is incompatible or invalid; nothing is stored
 * then.
 */
bool registry_register(struct registry *r, const char *subject, const char *schema, uint32_t *id,
                       struct error *err);
/* Puts a schema known from elsewhere under its id, unless the registry has it. ERROR_CONFLICT if
 * the id is taken by another text. No compatibility check. */
bool registry_seed(struct registry *r, const char *subject, const char *schema, uint32_t id,
                   struct error *err);
/* Copies the schema text into arena a. False if there is none of that id. */
bool registry_schema(struct registry *r, struct arena *a, uint32_t id, char **schema,
                     struct error *err);
/* subject NULL: the global mode. */
bool registry_set_mode(struct registry *r, const char *subject, enum compat_mode mode,
                       struct error *err);

#endif
