/* SPDX-License-Identifier: Apache-2.0 */
/* Values in Postgres's binary format, as COPY (FORMAT binary) takes them. Pure. */
#ifndef PENSTOCK_WPG_ENCODE_H
#define PENSTOCK_WPG_ENCODE_H

#include "util/buf.h"
#include "warehouse_postgres/wpg_type.h"

/* True if a value of this type is its bytes (text, bytea ...), which wpg_encode only checks. */
bool wpg_is_bytes(const struct wpg_type *t);
/*
 * Appends the value's bytes without their length. v is VALUE_SET and of a kind that the type
 * writes. Of a type that is its bytes nothing is appended. Returns NULL, or what it is that the
 * type cannot hold (a literal: "NaN"); then nothing was appended. server_version as
 * PQserverVersion gives it.
 */
const char *wpg_encode(struct buf *out, const struct wpg_type *t, const struct value *v,
                       int server_version);

#endif
