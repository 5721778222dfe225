/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool of a table that is being loaded: its changes since before the copy's point, on disk,
 * until the copy is complete. An append-only file of the events' bytes. What the warehouse's
 * checkpoint does not cover yet is cut off at a restart: the length at each checkpoint is stored in
 * the books, after spool_sync.
 *
 * Format: "PSPOOL1\n", u32 length and that many bytes of JSON (table, load number, value and key
 * schema texts, for people and for other programs), u32 CRC-32C of it; then frames: u32 length, u32
 * CRC-32C, and that many bytes:
 *   'T' i64 csn, i64 commit_us      the transaction of the rows that follow
 *   'R' as ROW in transport/event.h
 * Integers in frames are little endian.
 *
 * Threads: one appends (the sink's), others read what was there when they asked.
 */
#ifndef PENSTOCK_LOAD_SPOOL_H
#define PENSTOCK_LOAD_SPOOL_H

#include "transport/event.h"
#include "util/buf.h"

struct spool;
struct spool_reader;

struct spool_identity {
    const char *connector, *source; /* names */
    const char *schema, *table;
    uint32_t oid;
    int64_t load;
    uint32_t value_id, key_id;
    const char *value_schema, *key_schema; /* key_schema NULL: no key */
};

/* A new, empty one at path, replacing what is there. ERROR_RETRY with errno's text (a full disk).
 */
bool spool_create(struct spool **out, const char *path, const struct spool_identity *id,
                  struct error *err);
/*
 * Opens one that a former process left and cuts it to length. *usable false (and *out NULL) if it
 * is missing, shorter, of another table or load, or broken before length; why says what.
 */
bool spool_reopen(struct spool **out, const char *path, const struct spool_identity *id,
                  int64_t length, bool *usable, char *why, size_t size, struct error *err);
/* Closes; the file stays. Accepts NULL. */
void spool_close(struct spool *s);
void spool_remove(const char *path);

/* The caller's (mem_free). source: the connector's name. */
char *spool_path(const char *data_dir, const char *source, uint32_t oid, int64_t load);
typedef bool spool_keep_fn(const void *ctx, const char *path);
/* Removes the spools of the source; those stay for which keep (may be NULL) says so. */
void spool_sweep(const char *data_dir, const char *source, spool_keep_fn *keep, const void *ctx);

/* Appends an EVENT_ROW of that transaction (buffered). ERROR_RETRY if the disk is full. */
bool spool_append(struct spool *s, const struct event *e, int64_t csn, int64_t commit_us,
                  struct error *err);
/* Everything appended is on the disk; *length is what to store. */
bool spool_sync(struct spool *s, int64_t *length, struct error *err);
/* Bytes of the file, with what is still buffered. */
int64_t spool_length(const struct spool *s);
/* Writes out what is buffered, so that a reader sees it (not yet synced). */
bool spool_flush(struct spool *s, int64_t *length, struct error *err);

/* Reads frames from offset from (0: the first frame) up to length to. */
bool spool_reader_open(struct spool_reader **out, const char *path, int64_t from, int64_t to,
                       struct error *err);
void spool_reader_close(struct spool_reader *r); /* accepts NULL */
/*
 * The next row: *e points into memory that lives until the next call; its transaction; *at: the
 * offset behind it, from which a reader can be opened again (the transaction is known from the
 * frames before: pass the same csn and commit_us back with spool_reader_at). *e's kind is 0 at the
 * end. ERROR_DATA if a frame is broken.
 */
bool spool_next(struct spool_reader *r, struct event *e, int64_t *csn, int64_t *commit_us,
                int64_t *at, struct error *err);
/* The transaction that rows belong to until the first 'T' frame is met. */
void spool_reader_at(struct spool_reader *r, int64_t csn, int64_t commit_us);

#endif
