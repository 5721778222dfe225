/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of findings. The statements of a fix are kept apart from its words, so that they can be
 * copied, or run, as they are.
 */
#include "quality/findings.h"

#include "util/mem.h"

#include <stdio.h>

PRINTF_LIKE(1, 0) static char *format(const char *fmt, va_list ap)
{
    va_list again;
    char *text;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    text = mem_alloc((size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, fmt, ap);
    return text;
}

void findings_add(struct findings *f, enum finding_severity severity, const char *subject,
                  const char *fix, const char *fmt, ...)
{
    struct finding *n = mem_calloc(1, sizeof(*n));
    va_list ap;

    va_start(ap, fmt);
    n->message = format(fmt, ap);
    va_end(ap);
    n->severity = severity;
    n->connector = mem_strdup(f->connector != NULL ? f->connector : "");
    n->subject = mem_strdup(subject);
    n->fix = fix != NULL && fix[0] != '\0' ? mem_strdup(fix) : NULL;
    if (f->last == NULL)
        f->last = &f->first;
    *f->last = n;
    f->last = &n->next;
    f->newest = n;
    if (severity == FINDING_STOPS)
        f->stops++;
}

void findings_fix(struct findings *f, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    mem_free(f->newest->fix);
    f->newest->fix = format(fmt, ap);
    va_end(ap);
}

void findings_sql(struct findings *f, const char *fmt, ...)
{
    va_list ap;
    char *text;

    va_start(ap, fmt);
    text = format(fmt, ap);
    va_end(ap);
    buf_puts(&f->newest->sql, f->newest->sql.len > 0 ? "\n" : "");
    buf_puts(&f->newest->sql, text);
    mem_free(text);
}

/* "RUN: STATEMENT; rest" from where a statement begins; NULL: there is none. */
static const char *find_statement(const char *hint)
{
    static const char *const verbs[] = {"GRANT ", "ALTER ", "CREATE ", "SELECT ", "DROP "};
    const char *at = strstr(hint, "run: ");
    size_t i;

    for (i = 0; at != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strncmp(at + 5, verbs[i], strlen(verbs[i])) == 0)
            return at + 5;
    }
    return NULL;
}

/* A statement ends at the first ; outside of quotes. */
static size_t statement_length(const char *sql)
{
    char quote = '\0';
    size_t n;

    for (n = 0; sql[n] != '\0' && (quote != '\0' || sql[n] != ';'); n++) {
        if (quote == '\0' && (sql[n] == '\'' || sql[n] == '"'))
            quote = sql[n];
        else if (sql[n] == quote)
            quote = '\0';
    }
    return n;
}

static void add_from_error(struct findings *f, enum finding_severity severity, const char *subject,
                           const struct error *err)
{
    const char *sql = find_statement(err->hint);
    struct buf words = {0};
    size_t n = 0;

    if (sql != NULL) {
        const char *rest;

        n = statement_length(sql);
        rest = sql + n + strspn(sql + n, "; ");
        buf_append(&words, err->hint, (size_t)(sql - err->hint) - 2);
        if (*rest != '\0')
            buf_printf(&words, "%s%s", *rest == '(' ? " " : ", ", rest);
    } else {
        buf_puts(&words, err->hint);
    }
    findings_add(f, severity, subject, buf_cstr(&words), "%s%s%s%s", err->message,
                 err->sqlstate[0] ? " (" : "", err->sqlstate, err->sqlstate[0] ? ")" : "");
    if (sql != NULL)
        findings_sql(f, "%.*s", (int)n, sql);
    buf_free(&words);
}

void findings_add_error(struct findings *f, const char *subject, const struct error *err)
{
    add_from_error(f, FINDING_STOPS, subject, err);
}

void findings_add_warning(struct findings *f, const char *subject, const struct error *err)
{
    add_from_error(f, FINDING_WARNING, subject, err);
}

void finding_fix(const struct finding *f, struct buf *out)
{
    size_t i;

    if (f->fix != NULL)
        buf_puts(out, f->fix);
    if (f->sql.len == 0)
        return;
    buf_puts(out, f->fix != NULL ? ": " : "");
    for (i = 0; i < f->sql.len; i++) {
        if (f->sql.data[i] == '\n')
            buf_puts(out, "; ");
        else
            buf_u8(out, f->sql.data[i]);
    }
}

void findings_sort(struct findings *f)
{
    struct finding *lists[3] = {NULL, NULL, NULL};
    struct finding **ends[3] = {&lists[0], &lists[1], &lists[2]};
    struct finding *n, *next;
    int i;

    for (n = f->first; n != NULL; n = next) {
        next = n->next;
        n->next = NULL;
        *ends[n->severity] = n;
        ends[n->severity] = &n->next;
    }
    f->first = NULL;
    f->last = &f->first;
    for (i = 0; i < 3; i++) {
        if (lists[i] == NULL)
            continue;
        *f->last = lists[i];
        f->last = ends[i];
    }
}

void findings_free(struct findings *f)
{
    while (f->first != NULL) {
        struct finding *n = f->first;

        f->first = n->next;
        mem_free(n->connector);
        mem_free(n->subject);
        mem_free(n->message);
        mem_free(n->fix);
        buf_free(&n->sql);
        mem_free(n);
    }
    f->last = NULL;
    f->newest = NULL;
    f->stops = 0;
}

const char *finding_severity_name(enum finding_severity s)
{
    switch (s) {
    case FINDING_STOPS:
        return "error";
    case FINDING_WARNING:
        return "warning";
    case FINDING_NOTE:
        return "info";
    }
    return "?";
}
