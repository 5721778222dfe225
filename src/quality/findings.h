/* SPDX-License-Identifier: Apache-2.0 */
/* What `check` found: each with severity, what is wrong and the exact fix. */
#ifndef PENSTOCK_QUALITY_FINDINGS_H
#define PENSTOCK_QUALITY_FINDINGS_H

#include "util/error.h"

enum finding_severity { FINDING_STOPS, FINDING_WARNING, FINDING_NOTE };

struct finding {
    struct finding *next;
    enum finding_severity severity;
    char *subject; /* "source", "warehouse", "table public.t" */
    char *message;
    char *fix; /* may be NULL */
};

struct findings {
    struct finding *first;
    struct finding **last; /* zero-initialise the struct; set on first use */
    int stops;             /* how many of severity STOPS */
};

/* fix may be NULL. Strings are copied. */
void findings_add(struct findings *f, enum finding_severity severity, const char *subject,
                  const char *fix, const char *fmt, ...) PRINTF_LIKE(5, 6);
void findings_add_error(struct findings *f, const char *subject, const struct error *err);
void findings_free(struct findings *f);
const char *finding_severity_name(enum finding_severity s);

#endif
