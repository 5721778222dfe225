/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `penstock sync` share. */
#ifndef PENSTOCK_CLI_SYNC_INTERNAL_H
#define PENSTOCK_CLI_SYNC_INTERNAL_H

#include "config/file.h"
#include "util/buf.h"

/*
 * sync_check.c: can both sides be used? Both are asked, so that who mistook both is told of both,
 * on stderr. Nothing is made on either. False: one cannot, or they are the same database.
 */
bool sync_check(const struct config_file *cfg);
/* One of the URLs is none that can be used, which has been said: what is wrong with the other? */
void sync_check_other(const struct config_urls *u);

/* sync_end.c: what remains on both sides and here, and the commands to go on and to take it away,
 * on stderr; as the source says now. said: also that nothing does. */
void sync_say_what_remains(const struct config_file *cfg, const struct config_urls *u, bool said);
/* The URL without its password, quoted for a shell where it has to be. True if it had one. */
bool sync_put_url(struct buf *out, const char *url);

#endif
