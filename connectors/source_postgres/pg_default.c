/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constants as pg_get_expr prints them: 7, 1.5, true, 'text'::type, also in brackets with a cast
 * behind. A cast to a type with a modifier may change the value (numeric(5,2), varchar(3)), so it
 * makes no constant; neither does anything that is not recognised. pg_get_expr prints strings with
 * doubled quotes only, for standard_conforming_strings is on.
 */
#include "source_postgres/pg_default.h"

#include "avro/schema.h"
#include "source_postgres/pg_value.h"

#include <ctype.h>
#include <string.h>

#define VARHDRSZ 4 /* part of the typmod of character(n) */

/* "" or ::type without a modifier. */
static bool only_cast(const char *s, size_t len)
{
    size_t i;

    if (len == 0)
        return true;
    if (len < 3 || s[0] != ':' || s[1] != ':')
        return false;
    for (i = 2; i < len; i++) {
        if (!isalnum((unsigned char)s[i]) && strchr("_ .\"[]:", s[i]) == NULL &&
            (unsigned char)s[i] < 0x80)
            return false;
    }
    return true;
}

/* The length of the bracketed part at s, or 0. */
static size_t bracketed(const char *s, size_t len)
{
    bool quoted = false;
    int depth = 0;
    size_t i;

    for (i = 0; i < len; i++) {
        quoted ^= s[i] == '\'';
        if (quoted)
            continue;
        depth += s[i] == '(';
        depth -= s[i] == ')';
        if (depth == 0)
            return i + 1;
    }
    return 0;
}

static const char *quoted_text(struct arena *a, const char *s, size_t len)
{
    char *out = arena_alloc(a, len);
    size_t n = 0, i;

    for (i = 1; i < len; i++) {
        if (s[i] == '\'' && (i + 1 == len || s[i + 1] != '\''))
            break;
        i += s[i] == '\'';
        out[n++] = s[i];
    }
    out[n] = '\0';
    return i < len && only_cast(s + i + 1, len - i - 1) ? out : NULL;
}

/* The value's text if expr is a constant, else NULL. */
static const char *constant(struct arena *a, const char *s, size_t len)
{
    size_t n;

    if (len == 0)
        return NULL;
    if (s[0] == '(') {
        n = bracketed(s, len);
        return n > 2 && only_cast(s + n, len - n) ? constant(a, s + 1, n - 2) : NULL;
    }
    if (s[0] == '\'')
        return quoted_text(a, s, len);
    for (n = 0; n < len && (isalnum((unsigned char)s[n]) || strchr("+-.", s[n]) != NULL); n++)
        ;
    if (!only_cast(s + n, len - n))
        return NULL;
    if (n == 4 && memcmp(s, "true", 4) == 0)
        return "t";
    if (n == 5 && memcmp(s, "false", 5) == 0)
        return "f";
    return isdigit((unsigned char)s[0]) || s[0] == '-' ? arena_strndup(a, s, n) : NULL;
}

/* Also now() + '1 day', in brackets. */
static bool is_function(const char *s)
{
    size_t n;

    s += *s == '(';
    n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.\"");
    if (strncmp(s, "CURRENT_", 8) == 0 || strncmp(s, "LOCALTIME", 9) == 0)
        return true;
    return n > 0 && s[n] == '(' && strncmp(s, "nextval(", 8) != 0 &&
           strncmp(s, "pg_catalog.nextval(", 19) != 0;
}

static const char *zero(enum type_kind kind)
{
    switch (kind) {
    case TYPE_BOOL:
        return "f";
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
    case TYPE_DECIMAL:
    case TYPE_NUMERIC:
        return "0";
    case TYPE_TEXT:
        return "";
    case TYPE_BYTES:
        return "\\x";
    case TYPE_DATE:
        return "1970-01-01";
    case TYPE_TIME:
    case TYPE_INTERVAL:
        return "00:00:00";
    case TYPE_TIMESTAMP:
        return "1970-01-01 00:00:00";
    case TYPE_TIMESTAMPTZ:
        return "1970-01-01 00:00:00+00";
    case TYPE_UUID:
        return "00000000-0000-0000-0000-000000000000";
    case TYPE_JSON:
        return "{}";
    default:
        return NULL;
    }
}

/* As the value is printed in a row: money with its sign, character(n) with blanks at its end. */
static const char *as_printed(struct arena *a, const struct column *c, const char *text)
{
    size_t want, have = 0, i;
    char *out;

    if (c->source_type != NULL && strcmp(c->source_type, "money") == 0 && strchr(text, '$') == NULL)
        return *text == '-' ? arena_printf(a, "-$%s", text + 1) : arena_printf(a, "$%s", text);
    if (c->source_type == NULL || strncmp(c->source_type, "character(", 10) != 0 ||
        c->typmod <= VARHDRSZ)
        return text;
    want = (size_t)(c->typmod - VARHDRSZ);
    for (i = 0; text[i] != '\0'; i++)
        have += ((unsigned char)text[i] & 0xc0) != 0x80;
    if (have >= want)
        return text;
    out = arena_alloc(a, i + want - have + 1);
    memcpy(out, text, i);
    memset(out + i, ' ', want - have);
    out[i + want - have] = '\0';
    return out;
}

const char *pg_column_default(struct arena *a, const struct column *c, const char *expr)
{
    const char *text = constant(a, expr, strlen(expr));
    struct error ignored;
    struct value v;

    if (text == NULL && is_function(expr))
        text = zero(c->kind);
    if (text == NULL)
        return NULL;
    text = as_printed(a, c, text);
    if (!pg_value_parse(c, text, strlen(text), a, &v, &ignored))
        return NULL;
    return avro_default(a, c, &v);
}
