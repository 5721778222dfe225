/* SPDX-License-Identifier: Apache-2.0 */
#include "quality/findings.h"

#include "util/mem.h"

#include <stdio.h>

void findings_add(struct findings *f, enum finding_severity severity, const char *subject,
                  const char *fix, const char *fmt, ...)
{
    struct finding *n = mem_calloc(1, sizeof(*n));
    char text[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    n->severity = severity;
    n->subject = mem_strdup(subject);
    n->message = mem_strdup(text);
    n->fix = fix != NULL && fix[0] != '\0' ? mem_strdup(fix) : NULL;
    if (f->last == NULL)
        f->last = &f->first;
    *f->last = n;
    f->last = &n->next;
    if (severity == FINDING_STOPS)
        f->stops++;
}

void findings_add_error(struct findings *f, const char *subject, const struct error *err)
{
    findings_add(f, FINDING_STOPS, subject, err->hint, "%s%s%s%s", err->message,
                 err->sqlstate[0] ? " (" : "", err->sqlstate, err->sqlstate[0] ? ")" : "");
}

void findings_free(struct findings *f)
{
    while (f->first != NULL) {
        struct finding *n = f->first;

        f->first = n->next;
        mem_free(n->subject);
        mem_free(n->message);
        mem_free(n->fix);
        mem_free(n);
    }
    f->last = NULL;
    f->stops = 0;
}

const char *finding_severity_name(enum finding_severity s)
{
    switch (s) {
    case FINDING_STOPS:
        return "stops";
    case FINDING_WARNING:
        return "warning";
    case FINDING_NOTE:
        return "note";
    }
    return "?";
}
