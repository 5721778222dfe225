/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value of one setting: parsing and checking by type, and what of it may be shown. A message
 * shows a value only as config_next would: never a secret, and never what a ${...} stood for.
 */
#include "config/config_internal.h"
#include "config/nearest.h"
#include "config/urls.h"
#include "util/buf.h"
#include "util/mem.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool refuse(const struct config_entry *e, struct error *err, const char *what)
{
    error_set(err, ERROR_CONFIG, "%s: \"%s\" is %s", e->setting->name, e->shown, what);
    return error_hint(err, "%s: %s", e->setting->name, e->setting->doc);
}

static void trim(char *s)
{
    size_t n = strlen(s), blank = 0;

    while (n > 0 && isspace((unsigned char)s[n - 1]))
        s[--n] = '\0';
    while (isspace((unsigned char)s[blank]))
        blank++;
    memmove(s, s + blank, n - blank + 1);
}

static bool in_range(const struct config_entry *e, struct error *err)
{
    const struct setting *s = e->setting;

    if ((s->min == 0 && s->max == 0) || (e->number >= s->min && e->number <= s->max))
        return true;
    error_set(err, ERROR_CONFIG, "%s: \"%s\" is out of range, which is %" PRId64 " to %" PRId64,
              s->name, e->shown, s->min, s->max);
    return error_hint(err, "%s: %s", s->name, s->doc);
}

static bool parse_int(struct config_entry *e, struct error *err)
{
    char *end;

    errno = 0;
    e->number = strtoll(e->value, &end, 10);
    if (end == e->value || *end != '\0' || errno != 0)
        return refuse(e, err, "not a whole number");
    return in_range(e, err);
}

static bool parse_bytes(struct config_entry *e, struct error *err)
{
    static const struct {
        const char *name;
        int shift;
    } units[] = {{"", 0},    {"B", 0},    {"K", 10}, {"KB", 10}, {"KiB", 10}, {"M", 20},
                 {"MB", 20}, {"MiB", 20}, {"G", 30}, {"GB", 30}, {"GiB", 30}};
    char *end;

    errno = 0;
    e->number = strtoll(e->value, &end, 10);
    if (end == e->value || errno != 0 || e->number < 0)
        return refuse(e, err, "not a number of bytes (8388608, 512KB, 8MB, 1GB)");
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcasecmp(end, units[i].name) != 0)
            continue;
        if (e->number > INT64_MAX >> units[i].shift)
            return refuse(e, err, "too large");
        e->number <<= units[i].shift;
        return in_range(e, err);
    }
    return refuse(e, err, "not a number of bytes (8388608, 512KB, 8MB, 1GB)");
}

static bool parse_bool(struct config_entry *e, struct error *err)
{
    for (char *p = e->value; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    e->number = strcmp(e->value, "true") == 0;
    if (e->number == 0 && strcmp(e->value, "false") != 0)
        return refuse(e, err, "neither true nor false");
    return true;
}

static bool parse_enum(struct config_entry *e, struct error *err)
{
    const char *reason;
    char near[128];

    for (const char *p = e->setting->choices; *p != '\0';) {
        size_t len = strcspn(p, ",");

        if (strlen(e->value) == len && strncasecmp(e->value, p, len) == 0) {
            memcpy(e->value, p, len); /* in its known spelling */
            return true;
        }
        p += len;
        p += *p == ',';
    }
    reason = config_refused_value(e->setting->name, e->value);
    if (reason != NULL) {
        error_set(err, ERROR_CONFIG, "%s: \"%s\" is refused: %s", e->setting->name, e->shown,
                  reason);
        return error_hint(err, "%s can be: %s", e->setting->name, e->setting->choices);
    }
    error_set(err, ERROR_CONFIG, "%s: \"%s\" is not one of: %s", e->setting->name, e->shown,
              e->setting->choices);
    if (nearest_choice(e->value, e->setting->choices, near, sizeof(near)) != NULL)
        return error_hint(err, "did you mean %s: %s?", e->setting->name, near);
    return error_hint(err, "%s: %s", e->setting->name, e->setting->doc);
}

static bool parse_regex(struct config_entry *e, bool list, struct error *err)
{
    if (!patterns_compile(&e->patterns, e->value, list, err)) {
        error_prefix(err, "%s: \"%s\"", e->setting->name, e->shown);
        return error_hint(err, "%s: %s", e->setting->name, e->setting->doc);
    }
    return true;
}

/* A setting that exists only so that what is done anyway can be said. */
static bool check_only(const struct config_entry *e, struct error *err)
{
    const struct setting *s = e->setting;
    const char *reason;

    if (s->only == NULL || strcasecmp(e->value, s->only) == 0)
        return true;
    reason = config_refused_value(s->name, e->value);
    error_set(err, ERROR_CONFIG, "%s: \"%s\" is refused: %s", s->name, e->shown,
              reason != NULL ? reason : s->doc);
    return error_hint(err, "leave %s out, or write \"%s\", which is what is done anyway", s->name,
                      s->only);
}

bool config_value_parse(struct config_entry *e, struct error *err)
{
    const struct setting *s = e->setting;
    bool ok = true;

    if (s->type != SETTING_PASSWORD && s->type != SETTING_STRING)
        trim(e->value);
    if (e->value[0] == '\0' &&
        (s->required || (s->type != SETTING_PASSWORD && s->type != SETTING_STRING &&
                         s->type != SETTING_REGEXES))) {
        error_set(err, ERROR_CONFIG, "%s: the value is empty", s->name);
        return error_hint(err, "%s: %s", s->name, s->doc);
    }
    switch (s->type) {
    case SETTING_INT:
        ok = parse_int(e, err);
        break;
    case SETTING_BYTES:
        ok = parse_bytes(e, err);
        break;
    case SETTING_BOOL:
        ok = parse_bool(e, err);
        break;
    case SETTING_ENUM:
        ok = parse_enum(e, err);
        break;
    case SETTING_REGEX:
        ok = parse_regex(e, false, err);
        break;
    case SETTING_REGEXES:
        ok = parse_regex(e, true, err);
        break;
    case SETTING_STRING:
    case SETTING_PASSWORD:
    case SETTING_URL:
        break;
    }
    return ok && check_only(e, err);
}

/* Copies parameters "a=b&c=d", the values of secret ones hidden. */
static void mask_parameters(struct buf *out, const char *p)
{
    static const char *const secret[] = {"password", "passwd", "token", "secret"};

    while (*p != '\0') {
        size_t len = strcspn(p, "&"), key = strcspn(p, "=&");
        char *name = mem_strndup(p, key);
        bool hide = false;

        for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
            hide = hide || strcasestr(name, secret[i]) != NULL;
        /* An escaped name could be any. */
        hide = hide || strchr(name, '%') != NULL;
        mem_free(name);
        if (hide && key < len) {
            buf_append(out, p, key + 1);
            buf_puts(out, CONFIG_HIDDEN);
        } else {
            buf_append(out, p, len);
        }
        p += len;
        if (*p == '&')
            buf_u8(out, (uint8_t)*p++);
    }
}

/*
 * The password ends at the first @ in a URL that can be parsed; in a malformed one (an unescaped @
 * or / in the password) everything from the user's colon up to the last @ is hidden.
 */
char *config_mask_url(const char *url)
{
    const char *start = strstr(url, "://"), *at, *colon, *question;
    struct buf b = {0};
    bool valid;
    char *out;

    if (urls_scheme(url, NULL, 0) == 0)
        return mem_strdup(CONFIG_HIDDEN); /* "host=.. password=..", or anything */
    start = start != NULL ? start + 3 : url;
    valid = urls_valid_authority(url);
    at = valid ? start + strcspn(start, "@/") : strrchr(start, '@');
    if (at != NULL && *at != '@')
        at = NULL;
    colon = at != NULL ? memchr(start, ':', (size_t)(at - start)) : NULL;
    if (colon != NULL) {
        buf_append(&b, url, (size_t)(colon + 1 - url));
        buf_puts(&b, CONFIG_HIDDEN);
        url = at;
    }
    question = strchr(url, '?');
    if (question != NULL) {
        buf_append(&b, url, (size_t)(question + 1 - url));
        mask_parameters(&b, question + 1);
    } else {
        buf_puts(&b, url);
    }
    out = mem_strdup(buf_cstr(&b));
    buf_free(&b);
    return out;
}
