/* SPDX-License-Identifier: Apache-2.0 */
/* Linux: /proc (proc(5)) and getrusage(2). */
#include "metrics/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void look_at_memory(struct process_facts *p)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long size = 0, resident = 0;

    if (f == NULL)
        return;
    if (fscanf(f, "%ld %ld", &size, &resident) == 2) {
        p->virtual_bytes = (int64_t)size * sysconf(_SC_PAGESIZE);
        p->resident_bytes = (int64_t)resident * sysconf(_SC_PAGESIZE);
    }
    fclose(f);
}

static void look_at_cpu(struct process_facts *p)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) == 0)
        p->cpu_us = (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
                    u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static int64_t boot_seconds(void)
{
    FILE *f = fopen("/proc/stat", "re");
    char line[256];
    long long at = 0;

    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "btime %lld", &at) == 1)
            break;
    if (f != NULL)
        fclose(f);
    return at;
}

/* Field 22 of stat, after the name in parentheses, which may hold anything. */
static void look_at_start(struct process_facts *p)
{
    FILE *f = fopen("/proc/self/stat", "re");
    char text[1024];
    size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;
    const char *at;
    int i;

    if (f != NULL)
        fclose(f);
    text[n] = '\0';
    at = strrchr(text, ')');
    for (i = 0; at != NULL && i < 20; i++)
        at = strchr(at + 1, ' ');
    if (at != NULL)
        p->started_us = boot_seconds() * 1000000 +
                        (int64_t)(strtod(at, NULL) * 1000000 / (double)sysconf(_SC_CLK_TCK));
}

static void look_at_fds(struct process_facts *p)
{
    DIR *d = opendir("/proc/self/fd");
    const struct dirent *e;
    struct rlimit limit;

    while (d != NULL && (e = readdir(d)) != NULL)
        p->open_fds += e->d_name[0] != '.';
    if (d != NULL) {
        closedir(d);
        p->open_fds--; /* the folder's own */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        p->max_fds = (int64_t)limit.rlim_cur;
}

void process_look(struct process_facts *out)
{
    memset(out, 0, sizeof(*out));
    look_at_memory(out);
    look_at_cpu(out);
    look_at_start(out);
    look_at_fds(out);
}
