/* SPDX-License-Identifier: Apache-2.0 */
/* Where spools lie: DATA_DIR/spool/SOURCE.OID.LOAD. */
#include "load/spool.h"
#include "util/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <string.h>

/* What no file name should hold becomes "_". */
static char *safe_name(const char *source)
{
    char *name = mem_strdup(source);
    size_t i;

    for (i = 0; name[i] != '\0'; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("._-", name[i]) == NULL)
            name[i] = '_';
    }
    return name;
}

char *spool_path(const char *data_dir, const char *source, uint32_t oid, int64_t load)
{
    char *name = safe_name(source);
    char *path = mem_printf("%s/spool/%s.%u.%lld", data_dir, name, oid, (long long)load);

    mem_free(name);
    return path;
}

void spool_sweep(const char *data_dir, const char *source, spool_keep_fn *keep, const void *ctx)
{
    char *name = safe_name(source), *folder = mem_printf("%s/spool", data_dir);
    size_t n = strlen(name);
    DIR *dir = opendir(folder);
    const struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        const char *rest = e->d_name + n;
        char *path;

        if (strncmp(e->d_name, name, n) != 0 || *rest != '.' ||
            strspn(rest, "0123456789.") != strlen(rest))
            continue;
        path = mem_printf("%s/%s", folder, e->d_name);
        if (keep == NULL || !keep(ctx, path))
            spool_remove(path);
        mem_free(path);
    }
    if (dir != NULL)
        closedir(dir);
    mem_free(folder);
    mem_free(name);
}
