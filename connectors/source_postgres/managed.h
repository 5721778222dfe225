/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed Postgres services: which one a server belongs to, and how a fix is done there, where it
 * differs from a server of one's own. Pure. The services' ways are those of their documents; none
 * of them was run against the service itself (docs/postgres.md says so to the reader).
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_MANAGED_H
#define PENSTOCK_SOURCE_POSTGRES_MANAGED_H

#include "quality/findings.h"

enum managed {
    MANAGED_NONE, /* a server of one's own */
    MANAGED_RDS,
    MANAGED_AURORA,
    MANAGED_CLOUDSQL,
    MANAGED_SUPABASE,
    MANAGED_NEON,
    MANAGED_AZURE,
    MANAGED_COUNT
};

/* An expression whose text is the signs that managed_detect reads: ",rds,aurora,". */
extern const char managed_signs_sql[];

enum managed managed_detect(const char *signs);
const char *managed_name(enum managed m); /* "Amazon RDS"; "" for a server of one's own */

/* Each gives the newest finding its fix. value: as in SQL, quoted where it must be. */
void managed_fix_setting(enum managed m, const char *name, const char *value, bool restart,
                         struct findings *out);
/* role: a quoted identifier, as below. */
void managed_fix_replication(enum managed m, const char *role, struct findings *out);
void managed_fix_row_security(enum managed m, const char *role, struct findings *out);
/* A pooler stands between: where the server itself is. */
void managed_fix_pooler(enum managed m, struct findings *out);
/* What the service does that surprises: findings of their own. */
void managed_notes(enum managed m, struct findings *out);

#endif
