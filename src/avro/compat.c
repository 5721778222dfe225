/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May a reader's schema read a writer's data? Avro specification, "Schema Resolution", decided for
 * every value that the writer may send, so that each branch of a writer's union must be readable.
 *
 * Where implementations differ the verdict is no: names are compared in full (or by a reader's
 * alias); of a reader's union both the first branch that matches and the one of exactly the
 * writer's type must be readable; an alias that is also a field's own name is refused. A decimal's
 * scale and a logical type must not change. connect.* and other properties do not count.
 *
 * Recursive types: a pair of records that is being judged, or was, is taken as readable; that is
 * exact because the first failure ends everything.
 */
#include "avro/compat.h"

#include "avro/shape.h"
#include "util/map.h"

#include <stdio.h>
#include <string.h>

struct judge {
    struct arena *a;
    struct map *seen; /* pairs of records */
    struct error *err;
};

static bool can_read(struct judge *j, const struct shape *r, const struct shape *w,
                     const char *path);

static const char *const mode_names[] = {
    "NONE", "BACKWARD",       "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE",
    "FULL", "FULL_TRANSITIVE"};

const char *compat_mode_name(enum compat_mode m)
{
    return mode_names[m];
}

bool compat_mode_parse(const char *name, enum compat_mode *out)
{
    for (size_t i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
        if (strcmp(name, mode_names[i]) == 0) {
            *out = (enum compat_mode)i;
            return true;
        }
    }
    return false;
}

static bool refuse(struct judge *j, const char *path, const char *fmt, ...) PRINTF_LIKE(3, 4);
static bool refuse(struct judge *j, const char *path, const char *fmt, ...)
{
    char text[768];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return error_set(j->err, ERROR_DATA, "%s%s: %s", path[0] ? "field " : "schema", path, text);
}

static const char *below(struct judge *j, const char *path, const char *name)
{
    return arena_printf(j->a, "%s%s%s", path, path[0] ? "." : "", name);
}

static bool same_name(const struct shape *r, const struct shape *w)
{
    if (strcmp(r->name, w->name) == 0)
        return true;
    for (int i = 0; i < r->naliases; i++) {
        if (strcmp(r->aliases[i], w->name) == 0)
            return true;
    }
    return false;
}

/* Promotions of the specification: what is written as w is read as r. */
static bool promotes(enum shape_type r, enum shape_type w)
{
    switch (w) {
    case SHAPE_INT:
        return r == SHAPE_LONG || r == SHAPE_FLOAT || r == SHAPE_DOUBLE;
    case SHAPE_LONG:
        return r == SHAPE_FLOAT || r == SHAPE_DOUBLE;
    case SHAPE_FLOAT:
        return r == SHAPE_DOUBLE;
    case SHAPE_STRING:
        return r == SHAPE_BYTES;
    case SHAPE_BYTES:
        return r == SHAPE_STRING;
    default:
        return false;
    }
}

/* The specification's "match": what decides which branch of a reader's union is taken. */
static bool matches(const struct shape *r, const struct shape *w, bool exactly)
{
    if (r->type == SHAPE_UNION || w->type == SHAPE_UNION)
        return true;
    if (r->type != w->type)
        return !exactly && promotes(r->type, w->type);
    if (r->type == SHAPE_ARRAY || r->type == SHAPE_MAP)
        return matches(r->branches[0], w->branches[0], exactly);
    if (r->type == SHAPE_FIXED && r->size != w->size)
        return false;
    return shape_is_named(r) ? same_name(r, w) : true;
}

static bool logical_same(struct judge *j, const struct shape *r, const struct shape *w,
                         const char *path)
{
    const char *rl = r->logical ? r->logical : "none", *wl = w->logical ? w->logical : "none";

    if (strcmp(rl, wl) != 0)
        return refuse(j, path, "%s cannot be read as %s: the logical type changes from %s to %s",
                      shape_describe(j->a, w), shape_describe(j->a, r), wl, rl);
    if (r->scale != w->scale)
        return refuse(j, path, "%s cannot be read as %s: the scale changes from %d to %d",
                      shape_describe(j->a, w), shape_describe(j->a, r), w->scale, r->scale);
    return true;
}

/* *out: the writer's field that f reads, NULL if there is none. */
static bool writer_field(struct judge *j, const struct shape *r, const struct shape *w,
                         const struct shape_field *f, const char *path,
                         const struct shape_field **out)
{
    *out = NULL;
    for (int i = 0; i < w->nfields; i++) {
        if (strcmp(w->fields[i].name, f->name) == 0)
            *out = &w->fields[i];
    }
    if (*out)
        return true;
    for (int k = 0; k < f->naliases; k++) {
        for (int i = 0; i < w->nfields; i++) {
            if (strcmp(w->fields[i].name, f->aliases[k]) != 0)
                continue;
            if (*out && *out != &w->fields[i])
                return refuse(j, path, "its aliases %s and %s are both fields of the writer",
                              (*out)->name, f->aliases[k]);
            *out = &w->fields[i];
        }
    }
    for (int i = 0; *out && i < r->nfields; i++) {
        if (&r->fields[i] != f && strcmp(r->fields[i].name, (*out)->name) == 0)
            return refuse(j, path, "its alias %s is also the name of a field", (*out)->name);
    }
    return true;
}

static bool record_readable(struct judge *j, const struct shape *r, const struct shape *w,
                            const char *path)
{
    const void *pair[2] = {r, w};

    if (map_get(j->seen, pair, sizeof(pair)))
        return true;
    map_put(j->seen, pair, sizeof(pair), j);
    for (int i = 0; i < r->nfields; i++) {
        const struct shape_field *f = &r->fields[i], *wf;
        const char *here = below(j, path, f->name);

        if (!writer_field(j, r, w, f, here, &wf))
            return false;
        if (wf == NULL && f->def == NULL)
            return refuse(j, here, "the writer has no such field and it has no default");
        if (wf != NULL && !can_read(j, f->type, wf->type, here))
            return false;
    }
    return true;
}

static bool enum_readable(struct judge *j, const struct shape *r, const struct shape *w,
                          const char *path)
{
    for (int i = 0; i < w->nsymbols && r->symbol_default == NULL; i++) {
        bool found = false;

        for (int k = 0; k < r->nsymbols; k++)
            found = found || strcmp(r->symbols[k], w->symbols[i]) == 0;
        if (!found)
            return refuse(j, path, "symbol %s of enum %s is missing and there is no default",
                          w->symbols[i], w->name);
    }
    return true;
}

/* The place inside a union's branch: a record's name is part of the path. */
static const char *branch_path(struct judge *j, const struct shape *branch, const char *path)
{
    return branch->type == SHAPE_RECORD && path[0] ? below(j, path, shape_simple_name(branch->name))
                                                   : path;
}

static bool reader_union(struct judge *j, const struct shape *r, const struct shape *w,
                         const char *path)
{
    const struct shape *first = NULL, *exact = NULL;

    for (int i = 0; i < r->nbranches; i++) {
        if (first == NULL && matches(r->branches[i], w, false))
            first = r->branches[i];
        if (exact == NULL && matches(r->branches[i], w, true))
            exact = r->branches[i];
    }
    if (first == NULL)
        return refuse(j, path, "%s cannot be read as %s", shape_describe(j->a, w),
                      shape_describe(j->a, r));
    if (!can_read(j, first, w, branch_path(j, first, path)))
        return false;
    return exact == NULL || exact == first || can_read(j, exact, w, branch_path(j, exact, path));
}

static bool can_read(struct judge *j, const struct shape *r, const struct shape *w,
                     const char *path)
{
    if (w->type == SHAPE_UNION) {
        for (int i = 0; i < w->nbranches; i++) {
            if (!can_read(j, r, w->branches[i],
                          r->type == SHAPE_UNION ? path : branch_path(j, w->branches[i], path)))
                return false;
        }
        return true;
    }
    if (r->type == SHAPE_UNION)
        return reader_union(j, r, w, path);
    if (r->type != w->type && !promotes(r->type, w->type))
        return refuse(j, path, "%s cannot be read as %s", shape_describe(j->a, w),
                      shape_describe(j->a, r));
    if (shape_is_named(r) && !same_name(r, w))
        return refuse(j, path, "%s cannot be read as %s: another name", shape_describe(j->a, w),
                      shape_describe(j->a, r));
    if (!logical_same(j, r, w, path))
        return false;
    switch (r->type) {
    case SHAPE_RECORD:
        return record_readable(j, r, w, path);
    case SHAPE_ENUM:
        return enum_readable(j, r, w, path);
    case SHAPE_FIXED:
        return r->size == w->size || refuse(j, path, "fixed %s changes its size from %lld to %lld",
                                            r->name, (long long)w->size, (long long)r->size);
    case SHAPE_ARRAY:
        return can_read(j, r->branches[0], w->branches[0], below(j, path, "[]"));
    case SHAPE_MAP:
        return can_read(j, r->branches[0], w->branches[0], below(j, path, "{}"));
    default:
        return true;
    }
}

bool avro_can_read(const char *reader, const char *writer, struct error *err)
{
    struct judge j = {.a = arena_new("compat"), .seen = map_new(), .err = err};
    json_t *rdoc = NULL, *wdoc = NULL;
    const struct shape *r, *w;
    bool ok = false;

    if (!shape_parse(j.a, reader, true, &rdoc, &r, err)) {
        error_prefix(err, "reader");
        goto out;
    }
    if (!shape_parse(j.a, writer, false, &wdoc, &w, err)) {
        error_prefix(err, "writer");
        goto out;
    }
    ok = can_read(&j, r, w, "");
out:
    json_decref(rdoc);
    json_decref(wdoc);
    map_free(j.seen);
    arena_free(j.a);
    return ok;
}

bool avro_validate(const char *schema, struct error *err)
{
    struct arena *a = arena_new("schema");
    json_t *doc = NULL;
    const struct shape *n;
    bool ok = shape_parse(a, schema, true, &doc, &n, err);

    json_decref(doc);
    arena_free(a);
    return ok;
}
