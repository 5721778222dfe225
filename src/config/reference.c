/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References in values: ${env:NAME} is a variable of the environment, ${file:/path:key} a key of a
 * properties file (the format of java.util.Properties, as Kafka Connect's FileConfigProvider reads
 * it: "key=value", # and ! begin comments, backslash escapes, lines go on after a backslash).
 * What was put in is not looked at again. ${name} without a colon is left alone. Messages name
 * variables, files and keys, never their contents.
 */
#include "config/config_internal.h"
#include "config/nearest.h"
#include "util/buf.h"
#include "util/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX_BYTES (1024 * 1024)

extern char **environ;

static bool read_env(struct buf *out, const char *name, struct error *err)
{
    const char *value = getenv(name);
    struct nearest near = {0};
    char known[128];

    if (value != NULL) {
        buf_puts(out, value);
        return true;
    }
    error_set(err, ERROR_CONFIG, "the environment has no variable %s (${env:%s})", name, name);
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        size_t len = strcspn(*e, "=");
        size_t before = near.best != NULL ? near.distance : SIZE_MAX;
        char one[sizeof(known)];

        if (len == 0 || len >= sizeof(one))
            continue;
        memcpy(one, *e, len);
        one[len] = '\0';
        nearest_offer(&near, name, one);
        if (near.best != NULL && near.distance < before) {
            memcpy(known, one, len + 1);
            near.best = known;
        }
    }
    if (near.best != NULL)
        return error_hint(err, "export %s before the start; set is the similar name %s", name,
                          known);
    return error_hint(err, "export %s before the start", name);
}

static int hex4(const char *p)
{
    int v = 0;

    for (int i = 0; i < 4; i++) {
        int c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;

        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

static void put_utf8(struct buf *out, int c)
{
    if (c < 0x80) {
        buf_u8(out, (uint8_t)c);
    } else if (c < 0x800) {
        buf_u8(out, (uint8_t)(0xc0 | c >> 6));
        buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_u8(out, (uint8_t)(0xe0 | c >> 12));
        buf_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* One escape, p behind its backslash; returns what follows it, NULL if it is malformed. */
static const char *put_escape(struct buf *out, const char *p)
{
    static const char from[] = "tnrf", to[] = "\t\n\r\f";
    const char *simple = *p != '\0' ? strchr(from, *p) : NULL;

    if (*p == 'u') {
        int c = hex4(p + 1);

        if (c <= 0 || (c >= 0xd800 && c <= 0xdfff))
            return NULL;
        put_utf8(out, c);
        return p + 5;
    }
    if (*p == '\0')
        return p;
    buf_u8(out, (uint8_t)(simple != NULL ? to[simple - from] : *p));
    return p + 1;
}

/* Joins the lines that end in an odd number of backslashes with the next; drops comments. */
static const char *logical_line(const char *p, struct buf *line)
{
    bool more = false;

    buf_reset(line);
    do {
        const char *end;
        size_t slashes = 0;

        p += strspn(p, more ? " \t\f" : " \t\f\r\n");
        end = p + strcspn(p, "\r\n");
        if (!more && (*p == '#' || *p == '!')) {
            p = end;
            continue;
        }
        while (end - slashes > p && end[-(ptrdiff_t)slashes - 1] == '\\')
            slashes++;
        more = slashes % 2 == 1 && *end != '\0';
        buf_append(line, p, (size_t)(end - p) - (more ? 1 : 0));
        p = end;
        if (*p == '\r' && p[1] == '\n')
            p++;
        if (*p != '\0')
            p++;
    } while (more || (line->len == 0 && *p != '\0'));
    return p;
}

/* Splits "key = value" and undoes the escapes. False if an escape is malformed. */
static bool split_property(const char *p, struct buf *key, struct buf *value)
{
    buf_reset(key);
    buf_reset(value);
    while (*p != '\0' && strchr("=: \t\f", *p) == NULL) {
        if (*p != '\\') {
            buf_u8(key, (uint8_t)*p++);
        } else if ((p = put_escape(key, p + 1)) == NULL) {
            return false;
        }
    }
    p += strspn(p, " \t\f");
    if (*p == '=' || *p == ':')
        p++;
    p += strspn(p, " \t\f");
    while (*p != '\0') {
        if (*p != '\\') {
            buf_u8(value, (uint8_t)*p++);
        } else if ((p = put_escape(value, p + 1)) == NULL) {
            return false;
        }
    }
    return true;
}

static bool load(const char *path, struct buf *text, struct error *err)
{
    FILE *f = fopen(path, "re");
    size_t n = 1;

    if (f == NULL)
        return error_set(err, ERROR_CONFIG, "cannot read %s: %s", path, strerror(errno));
    while (n > 0 && text->len <= FILE_MAX_BYTES) {
        n = fread(buf_reserve(text, 65536), 1, 65536, f);
        text->len += n;
    }
    if (ferror(f) != 0 || text->len > FILE_MAX_BYTES) {
        error_set(err, ERROR_CONFIG, "cannot read %s: %s", path,
                  ferror(f) != 0 ? strerror(errno) : "it is larger than 1 MB");
        fclose(f);
        return false;
    }
    fclose(f);
    if (memchr(text->data, '\0', text->len) != NULL)
        return error_set(err, ERROR_CONFIG, "%s is not a properties file: it holds a zero byte",
                         path);
    return true;
}

static bool read_file(struct buf *out, const char *path, const char *key, struct error *err)
{
    struct buf text = {0}, line = {0}, k = {0}, v = {0};
    struct buf last = {0};
    bool ok = load(path, &text, err), found = false;

    for (const char *p = ok ? buf_cstr(&text) : ""; ok && *p != '\0';) {
        p = logical_line(p, &line);
        if (line.len == 0)
            continue;
        ok = split_property(buf_cstr(&line), &k, &v) ||
             error_set(err, ERROR_CONFIG, "%s holds a malformed \\u escape", path);
        if (ok && strcmp(buf_cstr(&k), key) == 0) { /* the last one counts, as in Java */
            found = true;
            buf_reset(&last);
            buf_append(&last, v.data, v.len);
        }
    }
    if (ok && !found) {
        ok = error_set(err, ERROR_CONFIG, "%s has no key %s (${file:%s:%s})", path, key, path, key);
        error_hint(err, "write a line \"%s=...\" into %s", key, path);
    }
    if (ok)
        buf_append(out, last.data, last.len);
    buf_free(&text);
    buf_free(&line);
    buf_free(&k);
    buf_free(&v);
    buf_free(&last);
    return ok;
}

/* body: what stands between ${ and }, with a colon in it. */
static bool put_reference(struct buf *out, char *body, struct error *err)
{
    char *rest = strchr(body, ':');
    char *key;

    *rest++ = '\0';
    if (strcmp(body, "env") == 0 && *rest != '\0')
        return read_env(out, rest, err);
    if (strcmp(body, "file") == 0) {
        key = strrchr(rest, ':');
        if (key != NULL && key != rest && key[1] != '\0') {
            *key++ = '\0';
            return read_file(out, rest, key, err);
        }
        error_set(err, ERROR_CONFIG, "${file:%s} names no file with a key", rest);
        return error_hint(err, "write ${file:/path/of.properties:key}");
    }
    error_set(err, ERROR_CONFIG, "${%s:...} is not a reference that is known here", body);
    return error_hint(err, "known are ${env:NAME} and ${file:/path:key}");
}

/* Without it the text itself would be the value, of a password too. */
static bool check_closed(const char *raw, struct error *err)
{
    static const char *const begins[] = {"${env:", "${file:"};

    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        if (strncmp(raw, begins[i], strlen(begins[i])) != 0)
            continue;
        error_set(err, ERROR_CONFIG, "a reference begins with %s and does not end", begins[i]);
        return error_hint(err, "close it with }");
    }
    return true;
}

bool config_resolve(const char *raw, char **out, bool *found, struct error *err)
{
    struct buf b = {0};
    bool ok = true;

    *found = false;
    while (ok && *raw != '\0') {
        const char *end = raw[0] == '$' && raw[1] == '{' ? strchr(raw, '}') : NULL;

        if (end != NULL && memchr(raw, ':', (size_t)(end - raw)) != NULL) {
            char *body = mem_strndup(raw + 2, (size_t)(end - raw) - 2);

            *found = true;
            ok = put_reference(&b, body, err);
            mem_free(body);
            raw = end + 1;
        } else {
            ok = end != NULL || check_closed(raw, err);
            buf_u8(&b, (uint8_t)*raw++);
        }
    }
    *out = ok ? mem_strdup(buf_cstr(&b)) : NULL;
    buf_free(&b);
    return ok;
}
