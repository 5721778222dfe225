/* SPDX-License-Identifier: Apache-2.0 */
/* What `check` found: each with severity, what is wrong and the exact fix. */
#ifndef PENSTOCK_QUALITY_FINDINGS_H
#define PENSTOCK_QUALITY_FINDINGS_H

#include "util/buf.h"
#include "util/error.h"

/* error: stops a run, or a table that it should replicate; warning: surprises; info. */
enum finding_severity { FINDING_STOPS, FINDING_WARNING, FINDING_NOTE };

struct finding {
    struct finding *next;
    enum finding_severity severity;
    char *connector; /* whose it is; "" where nobody set one */
    char *subject;   /* "source", "warehouse", "table public.t" */
    char *message;
    char *fix; /* in words, who must do what; may be NULL */
    struct buf
        sql; /* the statements of the fix, one a line, each as it is to be run; may be empty */
};

struct findings {
    struct finding *first;
    struct finding **last; /* zero-initialise the struct; set on first use */
    struct finding *newest;
    const char *connector; /* of what is added from now on; borrowed; NULL: none */
    int stops;             /* how many of severity STOPS */
};

/* fix may be NULL. Strings are copied. */
void findings_add(struct findings *f, enum finding_severity severity, const char *subject,
                  const char *fix, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* The words of the newest finding's fix, instead of those that it has. */
void findings_fix(struct findings *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* One more statement of the newest finding's fix, without a semicolon at its end. */
void findings_sql(struct findings *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A hint "... run: STATEMENT[; words]" becomes words and a statement. */
void findings_add_error(struct findings *f, const char *subject, const struct error *err);
/* The same of what stops one table only, while the others run. */
void findings_add_warning(struct findings *f, const char *subject, const struct error *err);
/* The whole fix in one line: words, then the statements. Appends nothing if there is none. */
void finding_fix(const struct finding *f, struct buf *out);
/* Errors first, then warnings; otherwise in the order in which they were added. */
void findings_sort(struct findings *f);
void findings_free(struct findings *f);
/* "error", "warning", "info" */
const char *finding_severity_name(enum finding_severity s);

#endif
