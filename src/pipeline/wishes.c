/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/wishes.h"

#include "util/log.h"
#include "util/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *file_of(const char *data_dir, const char *suffix)
{
    return mem_printf("%s/paused%s", data_dir, suffix);
}

void wishes_read(const char *data_dir, struct board *b)
{
    char *path = file_of(data_dir, ""), *line = NULL;
    FILE *f = fopen(path, "re");
    size_t size = 0;
    ssize_t n;

    while (f != NULL && (n = getline(&line, &size, f)) > 0) {
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        if (board_want_paused(b, line, true))
            log_info("connector is still paused: resume it to go on name=%s", line);
    }
    if (f != NULL)
        fclose(f);
    free(line); /* getline's */
    mem_free(path);
}

static bool write_names(FILE *f, struct board *b)
{
    struct arena *a = arena_new("wishes");
    struct board_connector *c;
    bool ok = true;
    int n, i;

    board_connectors(b, a, &c, &n);
    for (i = 0; ok && i < n; i++)
        ok = !board_wants_paused(b, c[i].name) || fprintf(f, "%s\n", c[i].name) > 0;
    arena_free(a);
    return ok;
}

bool wishes_write(const char *data_dir, struct board *b, bool say)
{
    char *path = file_of(data_dir, ""), *next = file_of(data_dir, ".next");
    FILE *f = fopen(next, "we");
    bool ok = f != NULL && write_names(f, b) && fflush(f) == 0 && fsync(fileno(f)) == 0;

    if (f != NULL && fclose(f) != 0)
        ok = false;
    ok = ok && rename(next, path) == 0;
    if (!ok && say)
        log_warn("who is paused cannot be written down, a restart would resume it: %s: %s: mend "
                 "that, it is tried again all the time",
                 path, strerror(errno));
    mem_free(next);
    mem_free(path);
    return ok;
}
