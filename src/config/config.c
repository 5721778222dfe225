/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A validated flat map: built once from keys and values and settings tables, then immutable, so
 * that any thread may read it. Entries are the user's in the user's order, then the defaults of
 * the settings that the user left out. Lookup is a linear search: maps are small and read rarely.
 */
#include "config/config_internal.h"
#include "config/file.h"
#include "config/nearest.h"
#include "config/urls.h"
#include "util/mem.h"

#include <string.h>

const struct setting *config_find(const struct setting *const *settings, const char *name)
{
    for (; *settings != NULL; settings++)
        for (const struct setting *s = *settings; s->name != NULL; s++)
            if (strcmp(s->name, name) == 0)
                return s;
    return NULL;
}

static bool unknown_key(const struct setting *const *settings, const char *key, struct error *err)
{
    const char *reason = config_refused_key(key);
    struct nearest near = {0};

    if (reason != NULL) {
        error_set(err, ERROR_CONFIG, "%s has no meaning here: %s", key, reason);
        return error_hint(err, "remove %s", key);
    }
    error_set(err, ERROR_CONFIG, "%s is not a setting", key);
    for (; *settings != NULL; settings++)
        for (const struct setting *s = *settings; s->name != NULL; s++)
            nearest_offer(&near, key, s->name);
    if (near.best != NULL)
        return error_hint(err, "did you mean %s?", near.best);
    return error_hint(err, "`penstock config` lists the settings");
}

/* What may be shown: a reference as it was written, so that what it stands for stays unseen. */
static char *shown_value(const struct setting *s, const char *raw, const char *value,
                         bool reference)
{
    if (s->type == SETTING_PASSWORD)
        return mem_strdup(CONFIG_HIDDEN);
    if (s->type == SETTING_URL && (!reference || urls_scheme(raw, NULL, 0) > 0))
        return config_mask_url(reference ? raw : value);
    return mem_strdup(reference ? raw : value);
}

/* A choice may be called null, which YAML has another meaning for. */
static bool has_choice(const struct setting *s, const char *wanted)
{
    size_t n = strlen(wanted);

    for (const char *p = s->choices; p != NULL && *p != '\0'; p += *p == ',') {
        size_t len = strcspn(p, ",");

        if (len == n && memcmp(p, wanted, n) == 0)
            return true;
        p += len;
    }
    return false;
}

static bool add_entry(struct config *c, const struct config_input *in, const struct raw_entry *raw,
                      struct error *err)
{
    const struct setting *s = config_find(in->settings, raw->key);
    struct config_entry *e = &c->entries[c->n];
    bool reference = false;

    if (s == NULL)
        return unknown_key(in->settings, raw->key, err);
    if (config_is_set(c, raw->key))
        return error_set(err, ERROR_CONFIG, "%s is given twice", raw->key);
    memset(e, 0, sizeof(*e));
    e->setting = s;
    e->user = true;
    if (in->literal || raw->null)
        e->value = mem_strdup(raw->null && has_choice(s, "null") ? "null" : raw->value);
    else if (!config_resolve(raw->value, &e->value, &reference, err))
        return error_prefix(err, "%s", raw->key);
    e->shown = shown_value(s, raw->value, e->value, reference);
    c->n++; /* from here config_free releases it */
    return config_value_parse(e, err);
}

static bool add_defaults(struct config *c, const struct config_input *in, struct error *err)
{
    for (const struct setting *const *t = in->settings; *t != NULL; t++) {
        for (const struct setting *s = *t; s->name != NULL; s++) {
            struct config_entry *e = &c->entries[c->n];

            if (config_string(c, s->name) != NULL)
                continue;
            if (s->required) {
                error_set(err, ERROR_CONFIG, "%s is missing", s->name);
                return error_hint(err, "%s: %s", s->name, s->doc);
            }
            if (s->def == NULL)
                continue;
            memset(e, 0, sizeof(*e));
            e->setting = s;
            e->value = mem_strdup(s->def);
            e->shown = mem_strdup(s->def);
            c->n++;
            if (!config_value_parse(e, err))
                return false;
        }
    }
    return true;
}

static size_t count_settings(const struct setting *const *settings)
{
    size_t n = 0;

    for (; *settings != NULL; settings++)
        for (const struct setting *s = *settings; s->name != NULL; s++)
            n++;
    return n;
}

static bool fail_at(const struct config_input *in, int line, struct error *err)
{
    bool service = strcmp(in->name, "service") == 0;

    error_prefix(err, "%s%s", service ? "" : "connector ", in->name);
    if (in->path != NULL && line > 0)
        error_prefix(err, "%s:%d", in->path, line);
    else if (in->path != NULL)
        error_prefix(err, "%s", in->path);
    return false;
}

bool config_build(struct config **out, const struct config_input *in, struct error *err)
{
    struct config *c = mem_calloc(1, sizeof(*c));

    *out = NULL;
    c->name = mem_strdup(in->name);
    c->entries = mem_calloc(in->n + count_settings(in->settings), sizeof(*c->entries));
    for (size_t i = 0; i < in->n; i++) {
        if (!add_entry(c, in, &in->entries[i], err)) {
            config_free(c);
            return fail_at(in, in->entries[i].line, err);
        }
        c->nuser = c->n;
    }
    if (!add_defaults(c, in, err)) {
        config_free(c);
        return fail_at(in, in->line, err);
    }
    *out = c;
    return true;
}

bool config_make(struct config **out, const char *name, const struct setting *const *settings,
                 const char *const *pairs, struct error *err)
{
    struct config_input in = {.name = name, .settings = settings};
    struct raw_entry *entries;
    bool ok;

    while (pairs[2 * in.n] != NULL)
        in.n++;
    entries = mem_calloc(in.n, sizeof(*entries));
    for (size_t i = 0; i < in.n; i++)
        entries[i] = (struct raw_entry){.key = pairs[2 * i], .value = pairs[2 * i + 1]};
    in.entries = entries;
    ok = config_build(out, &in, err);
    mem_free(entries);
    return ok;
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n; i++) {
        mem_free(c->entries[i].value);
        mem_free(c->entries[i].shown);
        patterns_free(c->entries[i].patterns);
    }
    mem_free(c->entries);
    mem_free(c->name);
    mem_free(c);
}

static const struct config_entry *find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->entries[i].setting->name, name) == 0)
            return &c->entries[i];
    return NULL;
}

const char *config_string(const struct config *c, const char *name)
{
    const struct config_entry *e = find(c, name);

    return e != NULL ? e->value : NULL;
}

bool config_bool(const struct config *c, const char *name)
{
    return config_int(c, name) != 0;
}

int64_t config_int(const struct config *c, const char *name)
{
    const struct config_entry *e = find(c, name);

    return e != NULL ? e->number : 0;
}

bool config_is_set(const struct config *c, const char *name)
{
    const struct config_entry *e = find(c, name);

    return e != NULL && e->user;
}

const char *config_name(const struct config *c)
{
    return c->name;
}

const char *config_next(const struct config *c, size_t *at, const char **masked)
{
    const struct config_entry *e;

    if (*at >= c->nuser)
        return NULL;
    e = &c->entries[(*at)++];
    *masked = e->shown;
    return e->setting->name;
}

/* Either answer to a search that PCRE2 gave up could be the wrong one. */
static bool matches(const struct config *c, const struct config_entry *e, const char *text,
                    bool *yes, struct error *err)
{
    enum pattern_match m = patterns_match(e->patterns, text);

    *yes = m == PATTERN_YES;
    if (m != PATTERN_GAVE_UP)
        return true;
    error_set(err, ERROR_CONFIG,
              "%s: %s: whether the expression selects %s takes too long to find out", c->name,
              e->setting->name, text);
    return error_hint(err,
                      "write a simpler expression in %s (one without repeats inside of "
                      "repeats)",
                      e->setting->name);
}

bool config_selects(const struct config *c, const char *include, const char *exclude,
                    const char *text, bool *yes, struct error *err)
{
    const struct config_entry *in = include != NULL ? find(c, include) : NULL;
    const struct config_entry *ex = exclude != NULL ? find(c, exclude) : NULL;
    bool out = false;

    *yes = true;
    if (in != NULL && in->patterns != NULL && !matches(c, in, text, yes, err))
        return false;
    if (*yes && ex != NULL && ex->patterns != NULL && !matches(c, ex, text, &out, err))
        return false;
    *yes = *yes && !out;
    return true;
}
