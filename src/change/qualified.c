/* SPDX-License-Identifier: Apache-2.0 */
/* Names of tables as text and back; both ways agree for every pair of names that is not empty. */
#include "change/qualified.h"

#include "util/buf.h"

/* A part in quotes: *s is at the first one, then behind the last. NULL if it has no end. */
static char *quoted(struct arena *a, const char **s)
{
    char *out = arena_alloc(a, strlen(*s)), *o = out;
    const char *p = *s + 1;

    for (; *p != '\0'; p++) {
        if (*p == '"' && *++p != '"') {
            *o = '\0';
            *s = p;
            return out;
        }
        *o++ = *p;
    }
    return NULL;
}

bool qualified_parse(struct arena *a, const char *text, struct qualified *out)
{
    const char *s = text, *dot;
    char *schema, *name;

    if (*s == '"') {
        schema = quoted(a, &s);
    } else {
        dot = strchr(s, '.');
        schema = dot != NULL ? arena_strndup(a, s, (size_t)(dot - s)) : NULL;
        s = dot;
    }
    if (schema == NULL || schema[0] == '\0' || *s++ != '.')
        return false;
    if (*s == '"') {
        name = quoted(a, &s);
        if (name == NULL || *s != '\0')
            return false;
    } else {
        name = arena_strdup(a, s);
    }
    out->schema = schema;
    out->name = name;
    return name[0] != '\0';
}

const char *qualified_text(struct arena *a, const char *schema, const char *name)
{
    struct buf b = {0};
    char *text;

    if (schema[0] == '"' || strchr(schema, '.') != NULL)
        buf_sql_ident(&b, schema);
    else
        buf_puts(&b, schema);
    buf_u8(&b, '.');
    if (name[0] == '"')
        buf_sql_ident(&b, name);
    else
        buf_puts(&b, name);
    text = arena_strdup(a, buf_cstr(&b));
    buf_free(&b);
    return text;
}
