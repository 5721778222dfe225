/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table versions: deep copies, the order of the key, and the names that topics and Avro allow.
 * A character outside the allowed set becomes one '_' (a UTF-8 sequence is one character), as
 * Debezium does; what would then be ambiguous gets a piece of the SHA-256 of the true name.
 */
#include "change/table.h"

#include "util/mem.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define TOPIC_MAX 249 /* Kafka: Topic.MAX_NAME_LENGTH */

struct table *table_copy(struct arena *a, const struct table *t)
{
    struct table *c = arena_memdup(a, t, sizeof(*t));
    int i;

    c->schema = arena_strdup(a, t->schema);
    c->name = arena_strdup(a, t->name);
    c->topic = arena_strdup(a, t->topic);
    c->row_filter = arena_strdup(a, t->row_filter);
    c->leaves = arena_strdup(a, t->leaves);
    c->membership = arena_strdup(a, t->membership);
    c->keys = arena_memdup(a, t->keys, (size_t)t->nkeys * sizeof(*t->keys));
    c->cols = arena_memdup(a, t->cols, (size_t)t->ncols * sizeof(*t->cols));
    for (i = 0; i < c->ncols; i++) {
        struct column *col = &c->cols[i];

        col->name = arena_strdup(a, col->name);
        col->field = arena_strdup(a, col->field);
        col->source_type = arena_strdup(a, col->source_type);
        col->semantic = arena_strdup(a, col->semantic);
        col->allowed = arena_strdup(a, col->allowed);
        col->def = arena_strdup(a, col->def);
        col->aliases = arena_strdup(a, col->aliases);
    }
    return c;
}

void table_index_keys(struct arena *a, struct table *t)
{
    int *keys;
    int n = 0, i, k;

    for (i = 0; i < t->ncols; i++)
        n += t->cols[i].key_pos > 0;
    keys = arena_calloc(a, (size_t)n, sizeof(*keys));
    n = 0;
    for (i = 0; i < t->ncols; i++) {
        if (t->cols[i].key_pos <= 0)
            continue;
        for (k = n++; k > 0 && t->cols[keys[k - 1]].key_pos > t->cols[i].key_pos; k--)
            keys[k] = keys[k - 1];
        keys[k] = i;
    }
    t->nkeys = n;
    t->keys = keys;
}

int table_find_column(const struct table *t, const char *name)
{
    int i;

    for (i = 0; i < t->ncols; i++) {
        if (strcmp(t->cols[i].name, name) == 0)
            return i;
    }
    return -1;
}

bool table_lists_leaf(const char *leaves, uint32_t leaf)
{
    char text[16];

    snprintf(text, sizeof(text), ",%u,", leaf);
    return leaves != NULL && strstr(leaves, text) != NULL;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* out has room for strlen(name) + 2. extra: further characters that are allowed. */
static void make_safe(char *out, const char *name, const char *extra)
{
    for (; *name != '\0'; name++) {
        if (is_name_char(*name) || strchr(extra, *name) != NULL)
            *out++ = *name;
        else if (((unsigned char)*name & 0xc0) != 0x80) /* not inside a UTF-8 sequence */
            *out++ = '_';
    }
    *out = '\0';
}

/* The first n hex digits of the SHA-256 of size bytes. */
static void hash_hex(const void *data, size_t size, char *out, size_t n)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    size_t i;

    if (EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) != 1)
        memset(digest, 0, sizeof(digest)); /* only without memory, which mem.h makes fatal */
    for (i = 0; i < n; i++)
        out[i] = "0123456789abcdef"[i % 2 ? digest[i / 2] & 15 : digest[i / 2] >> 4];
    out[n] = '\0';
}

/* The name of an Avro field before collisions are looked at. */
static char *field_name(struct arena *a, const char *name)
{
    char *s = arena_alloc(a, strlen(name) + 2);

    if (*name == '\0' || (*name >= '0' && *name <= '9')) {
        *s = '_';
        make_safe(s + 1, name, "");
    } else {
        make_safe(s, name, "");
    }
    return s;
}

static bool field_taken(const struct table *t, int self)
{
    int i;

    for (i = 0; i < t->ncols; i++) {
        if (i != self && strcmp(t->cols[i].field, t->cols[self].field) == 0)
            return true;
    }
    return false;
}

/* Gives each changed name that collides its suffix of `digits` hex digits. */
static void separate_fields(struct arena *a, struct table *t, size_t digits)
{
    char hex[65];
    bool *collides = mem_calloc((size_t)t->ncols + 1, sizeof(*collides));
    int i;

    for (i = 0; i < t->ncols; i++)
        collides[i] = strcmp(t->cols[i].field, t->cols[i].name) != 0 && field_taken(t, i);
    for (i = 0; i < t->ncols; i++) {
        if (!collides[i])
            continue;
        hash_hex(t->cols[i].name, strlen(t->cols[i].name), hex, digits);
        t->cols[i].field = arena_printf(a, "%s_%s", field_name(a, t->cols[i].name), hex);
    }
    mem_free(collides);
}

/* What tells tables apart whose names would become the same. */
static void true_name_hex(struct arena *a, const struct table *t, char hex[9])
{
    size_t schema_len = strlen(t->schema), name_len = strlen(t->name);
    char *both = arena_alloc(a, schema_len + 1 + name_len);

    memcpy(both, t->schema, schema_len + 1);
    memcpy(both + schema_len + 1, t->name, name_len);
    hash_hex(both, schema_len + 1 + name_len, hex, 8);
}

static char *suffixed_topic(struct arena *a, const struct table *t, const char *topic)
{
    char hex[9];

    true_name_hex(a, t, hex);
    return arena_printf(a, "%.*s_%s", TOPIC_MAX - 9, topic, hex);
}

const char *table_suffixed_name(struct arena *a, const struct table *t)
{
    char hex[9];

    true_name_hex(a, t, hex);
    return arena_printf(a, "%s_%s", t->name, hex);
}

void table_topic_suffix(struct arena *a, struct table *t)
{
    t->topic = suffixed_topic(a, t, t->topic);
}

void table_name_fields(struct arena *a, struct table *t, const char *topic_prefix)
{
    char *full = arena_printf(a, "%s.%s.%s", topic_prefix, t->schema, t->name);
    char *topic = arena_alloc(a, strlen(full) + 2);
    int i;

    make_safe(topic, full, ".-");
    t->topic = strlen(topic) > TOPIC_MAX ? suffixed_topic(a, t, topic) : topic;
    for (i = 0; i < t->ncols; i++)
        t->cols[i].field = field_name(a, t->cols[i].name);
    separate_fields(a, t, 8);
    separate_fields(a, t, 64); /* where a true name looks like a suffixed one */
}
