/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgoutput, proto_version 1. After the tag byte:
 *   B final_lsn:8 time:8 xid:4            C flags:1 commit_lsn:8 end_lsn:8 time:8
 *   O lsn:8 name\0                        Y oid:4 schema\0 name\0
 *   R oid:4 schema\0 name\0 identity:1 ncols:2 {flags:1 name\0 type:4 typmod:4}*
 *   I oid:4 'N' tuple                     U oid:4 (('K'|'O') tuple)? 'N' tuple
 *   D oid:4 ('K'|'O') tuple               T count:4 flags:1 oid:4*
 *   M flags:1 lsn:8 prefix\0 len:4 bytes
 *   tuple: ncols:2 then per column 'n' | 'u' | ('t'|'b') len:4 bytes
 * A message must be used up exactly. Counts are held against the bytes that are left before
 * anything is allocated for them.
 */
#include "source_postgres/pgoutput.h"

#include "util/causes.h"
#include "util/mem.h"
#include "util/reader.h"

#include <stdio.h>
#include <string.h>

#define COLUMN_MIN_BYTES (1 + 1 + 4 + 4) /* of a column in RELATION, with an empty name */

/* A byte for a message: 'B', or 0x07 where it cannot be printed. */
static const char *tag_text(uint8_t tag, char out[8])
{
    snprintf(out, 8, tag > 0x20 && tag < 0x7f ? "'%c'" : "0x%02x", tag);
    return out;
}

static bool broken(const char *what, uint8_t tag, const struct reader *r, struct error *err)
{
    char text[8];

    return error_cause(err, CAUSE_PROTOCOL_BROKEN,
                       "broken or truncated protocol message: %s %s, at offset %zu of %zu bytes",
                       what, tag_text(tag, text), reader_offset(r), (size_t)(r->end - r->start));
}

static bool unknown(const char *what, uint8_t tag, const struct reader *r, struct error *err)
{
    char text[8];

    error_set(err, ERROR_FATAL, "the server sent %s %s at offset %zu, which is not known here",
              what, tag_text(tag, text), (size_t)(r->pos - r->start) - 1);
    return error_hint(err, "Protocol version 1 of logical replication has no such message: make "
                           "sure that database.hostname leads straight to a PostgreSQL server, "
                           "with no proxy between.");
}

/* Fails the reader at the byte just read. */
static void reject_last(struct reader *r)
{
    if (!r->failed)
        r->pos--;
    reader_fail(r);
}

static void grow(struct pgoutput_tuple *t, int ncols)
{
    if (ncols <= t->cap)
        return;
    t->cap = ncols < 16 ? 16 : ncols;
    t->cells = mem_realloc(t->cells, (size_t)t->cap * sizeof(*t->cells));
}

static void read_cell(struct reader *r, struct pg_cell *cell)
{
    uint8_t kind = reader_u8(r);

    cell->kind = (enum pg_cell_kind)kind;
    cell->p = NULL;
    cell->len = 0;
    switch (kind) {
    case PG_CELL_TEXT:
    case PG_CELL_BINARY:
        cell->len = reader_be32(r);
        cell->p = (const char *)reader_bytes(r, cell->len);
        break;
    case PG_CELL_NULL:
    case PG_CELL_UNCHANGED:
        break;
    default:
        reject_last(r);
    }
}

static void read_tuple(struct reader *r, struct pgoutput_tuple *t)
{
    size_t ncols = reader_be16(r);

    t->ncols = 0;
    if (reader_left(r) < ncols) { /* each takes a byte at least */
        reader_fail(r);
        return;
    }
    grow(t, (int)ncols);
    for (size_t i = 0; i < ncols && !r->failed; i++)
        read_cell(r, &t->cells[i]);
    if (!r->failed)
        t->ncols = (int)ncols;
}

static void read_begin(struct reader *r, struct pgoutput_begin *b)
{
    b->final_lsn = reader_be64(r);
    b->commit_time = (int64_t)reader_be64(r);
    b->xid = reader_be32(r);
}

static void read_commit(struct reader *r, struct pgoutput_commit *c)
{
    c->flags = reader_u8(r);
    c->commit_lsn = reader_be64(r);
    c->end_lsn = reader_be64(r);
    c->commit_time = (int64_t)reader_be64(r);
}

/* pg_catalog travels as the empty string. */
static const char *read_schema(struct reader *r)
{
    const char *s = reader_cstr(r);

    return *s == '\0' ? "pg_catalog" : s;
}

static void read_relation(struct reader *r, struct arena *a, struct pgoutput_relation *rel)
{
    struct pgoutput_column *cols;
    size_t ncols;

    rel->oid = reader_be32(r);
    rel->schema = read_schema(r);
    rel->name = reader_cstr(r);
    rel->replica_identity = (char)reader_u8(r);
    if (rel->replica_identity == '\0' || strchr("dnfi", rel->replica_identity) == NULL)
        reject_last(r);
    ncols = reader_be16(r);
    if (reader_left(r) / COLUMN_MIN_BYTES < ncols)
        reader_fail(r);
    if (r->failed)
        return;
    cols = arena_calloc(a, ncols, sizeof(*cols));
    for (size_t i = 0; i < ncols; i++) {
        cols[i].flags = reader_u8(r);
        cols[i].name = reader_cstr(r);
        cols[i].type_oid = reader_be32(r);
        cols[i].typmod = (int32_t)reader_be32(r);
    }
    rel->columns = cols;
    rel->ncols = (int)ncols;
}

static void read_row(struct reader *r, struct pgoutput_decoder *d, char tag,
                     struct pgoutput_row *row)
{
    uint8_t kind;

    d->old.ncols = d->after.ncols = 0;
    row->oid = reader_be32(r);
    kind = reader_u8(r);
    if ((kind == 'K' || kind == 'O') && tag != PGOUTPUT_INSERT) {
        row->old_kind = (char)kind;
        read_tuple(r, &d->old);
        if (tag == PGOUTPUT_DELETE)
            return;
        kind = reader_u8(r);
    }
    if (kind != 'N' || tag == PGOUTPUT_DELETE) {
        reject_last(r);
        return;
    }
    row->has_new = true;
    read_tuple(r, &d->after);
}

static void read_truncate(struct reader *r, struct arena *a, struct pgoutput_truncate *t)
{
    size_t count = reader_be32(r);
    uint32_t *oids;

    t->flags = reader_u8(r);
    if (reader_left(r) / sizeof(*oids) < count)
        reader_fail(r);
    if (r->failed)
        return;
    oids = arena_calloc(a, count, sizeof(*oids));
    for (size_t i = 0; i < count; i++)
        oids[i] = reader_be32(r);
    t->oids = oids;
    t->count = (int)count;
}

static void read_message(struct reader *r, struct pgoutput_message *m)
{
    m->message.transactional = (reader_u8(r) & 1) != 0;
    m->message.lsn = reader_be64(r);
    m->message.prefix = reader_cstr(r);
    m->message.len = reader_be32(r);
    m->message.content = reader_bytes(r, m->message.len);
}

/* False if there is no message of that tag. */
static bool read_body(struct reader *r, struct pgoutput_decoder *d, struct arena *a,
                      struct pgoutput_message *m)
{
    switch (m->tag) {
    case PGOUTPUT_BEGIN:
        read_begin(r, &m->begin);
        return true;
    case PGOUTPUT_COMMIT:
        read_commit(r, &m->commit);
        return true;
    case PGOUTPUT_ORIGIN:
        m->origin.lsn = reader_be64(r);
        m->origin.name = reader_cstr(r);
        return true;
    case PGOUTPUT_RELATION:
        read_relation(r, a, &m->relation);
        return true;
    case PGOUTPUT_TYPE:
        m->type.oid = reader_be32(r);
        m->type.schema = read_schema(r);
        m->type.name = reader_cstr(r);
        return true;
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
        read_row(r, d, (char)m->tag, &m->row);
        return true;
    case PGOUTPUT_TRUNCATE:
        read_truncate(r, a, &m->truncate);
        return true;
    case PGOUTPUT_MESSAGE:
        read_message(r, m);
        return true;
    case PGOUTPUT_STREAM_ABORT:
        d->stray_aborts++;
        reader_bytes(r, reader_left(r));
        return true;
    }
    return false;
}

bool pgoutput_decode(struct pgoutput_decoder *d, struct arena *a, const void *data, size_t len,
                     struct pgoutput_message *m, struct error *err)
{
    struct reader r;
    uint8_t tag;

    memset(m, 0, sizeof(*m));
    reader_init(&r, data, len);
    tag = reader_u8(&r);
    if (r.failed)
        return error_cause(err, CAUSE_PROTOCOL_BROKEN,
                           "broken or truncated protocol message: empty, at offset 0 of 0 bytes");
    m->tag = (enum pgoutput_tag)tag;
    if (!read_body(&r, d, a, m))
        return unknown("message", tag, &r, err);
    if (!r.failed && reader_left(&r) > 0)
        reader_fail(&r);
    if (r.failed)
        return broken("message", tag, &r, err);
    return true;
}

bool pgoutput_copy_data(const void *data, size_t len, struct pgoutput_copy *out, struct error *err)
{
    struct reader r;
    uint8_t tag;

    memset(out, 0, sizeof(*out));
    reader_init(&r, data, len);
    tag = reader_u8(&r);
    out->tag = (char)tag;
    if (tag == 'w') {
        out->start_lsn = reader_be64(&r);
        out->wal_end = reader_be64(&r);
        out->send_time = (int64_t)reader_be64(&r);
        out->payload_len = reader_left(&r);
        out->payload = reader_bytes(&r, out->payload_len);
    } else if (tag == 'k') {
        out->wal_end = reader_be64(&r);
        out->send_time = (int64_t)reader_be64(&r);
        out->reply_now = reader_u8(&r) != 0;
    } else if (!r.failed) {
        return unknown("replication message", tag, &r, err);
    }
    if (!r.failed && reader_left(&r) > 0)
        reader_fail(&r);
    if (r.failed)
        return broken("replication message", tag, &r, err);
    return true;
}

static uint8_t *put_be64(uint8_t *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

void pgoutput_status(uint8_t out[PGOUTPUT_STATUS_SIZE], uint64_t written, uint64_t flushed,
                     uint64_t applied, int64_t clock, bool reply_now)
{
    uint8_t *p = out;

    *p++ = 'r';
    p = put_be64(p, written);
    p = put_be64(p, flushed);
    p = put_be64(p, applied);
    p = put_be64(p, (uint64_t)clock);
    *p = reply_now ? 1 : 0;
}

void pgoutput_decoder_free(struct pgoutput_decoder *d)
{
    mem_free(d->old.cells);
    mem_free(d->after.cells);
    memset(&d->old, 0, sizeof(d->old));
    memset(&d->after, 0, sizeof(d->after));
}
