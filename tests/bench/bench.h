/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmarks share: clocks, pinning, and one form of row. Ours and the baseline are
 * measured side by side, repetition by repetition, in one run; a ratio is taken within each
 * repetition, so that what slows the machine down for a while slows both.
 */
#ifndef PENSTOCK_TESTS_BENCH_H
#define PENSTOCK_TESTS_BENCH_H

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define BENCH_MOST 16 /* repetitions */

/* One measured thing: a pair of figures a repetition. */
struct bench_row {
    const char *what;
    const char *unit;
    double scale; /* figures are printed times this */
    /* For the table of all benchmarks; without a baseline's name it is not in there. */
    const char *baseline; /* its name */
    const char *goal;     /* NULL: none */
    int n;
    double ours[BENCH_MOST], base[BENCH_MOST]; /* base 0: there is none */
    int run;        /* repetitions, with those that do not count; 0: as many as count */
    bool disturbed; /* none of these counts */
    int samples;    /* of one repetition: ours holds the least, the median and the most of them */
};

static inline double bench_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline double bench_now(void)
{
    return bench_clock(CLOCK_MONOTONIC);
}

/* pid 0: this thread. False where there is no such processor or no right to it. */
static inline int bench_pin(pid_t pid, int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(pid, sizeof(set), &set) == 0;
}

/* CPU seconds of another process. */
static inline double bench_process_cpu(pid_t pid)
{
    clockid_t id;

    return clock_getcpuclockid(pid, &id) == 0 ? bench_clock(id) : 0;
}

/*
 * Processor seconds that all processors have worked since the machine started, those of other
 * virtual machines too (steal): what is left of a time after our own processes' share is what
 * others had.
 */
static inline double bench_busy(void)
{
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0,
                       steal = 0;
    FILE *f = fopen("/proc/stat", "r");

    if (f != NULL) {
        if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle,
                   &wait, &irq, &soft, &steal) != 8)
            user = 0;
        fclose(f);
    }
    return (double)(user + nice + system + irq + soft + steal) / (double)sysconf(_SC_CLK_TCK);
}

/* The most memory that was resident, in MB: VmHWM. 0: it has ended. */
static inline double bench_process_peak(pid_t pid)
{
    char path[64], line[256];
    long kb = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "VmHWM: %ld", &kb) == 1)
            break;
    }
    if (f != NULL)
        fclose(f);
    return (double)kb / 1024;
}

static inline void bench_add(struct bench_row *r, double ours, double base)
{
    if (r->n == BENCH_MOST)
        abort();
    r->ours[r->n] = ours;
    r->base[r->n++] = base;
}

static int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static inline double bench_median(const double *v, int n)
{
    double s[BENCH_MOST];

    memcpy(s, v, (size_t)n * sizeof(*s));
    qsort(s, (size_t)n, sizeof(*s), bench_compare);
    return n % 2 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
}

static inline void bench_head(const char *baseline)
{
    printf("| what | ours | %s | ratio min / median / max |\n|---|---|---|---|\n", baseline);
}

/* What a row says: figures of ours, of the baseline, and their ratios or the ends of ours. */
static inline void bench_cells(const struct bench_row *r, FILE *out, bool named)
{
    double ratio[BENCH_MOST];
    bool alone = r->n > 0 && r->base[0] == 0;
    int i;

    for (i = 0; i < r->n; i++)
        ratio[i] = alone ? r->ours[i] * r->scale : r->ours[i] / r->base[i];
    qsort(ratio, (size_t)r->n, sizeof(*ratio), bench_compare);
    fprintf(out, "| %s | %.2f %s | ", r->what, bench_median(r->ours, r->n) * r->scale, r->unit);
    if (named)
        fprintf(out, "%s%s", r->baseline, alone ? "" : ": ");
    if (!alone)
        fprintf(out, "%.2f %s", bench_median(r->base, r->n) * r->scale, r->unit);
    fprintf(out, " | %.2f / %.2f / %.2f%s%s |", ratio[0], bench_median(ratio, r->n),
            ratio[r->n - 1], alone ? " " : "", alone ? r->unit : "");
}

/* Printed, and added to the table of all benchmarks (scripts/bench.sh) if there is one. */
static inline void bench_print(const struct bench_row *r)
{
    const char *path = getenv("PENSTOCK_BENCH_TABLE");
    FILE *f;

    if (r->n == 0)
        return;
    bench_cells(r, stdout, false);
    puts("");
    fflush(stdout);
    if (path == NULL || r->baseline == NULL)
        return;
    f = fopen(path, "a");
    if (f == NULL)
        return;
    bench_cells(r, f, true);
    fprintf(f, " %s | ", r->goal != NULL ? r->goal : "");
    if (r->samples > 0)
        fprintf(f, "%d rows |\n", r->samples);
    else
        fprintf(f, "%d of %d |\n", r->disturbed ? 0 : r->n, r->run > 0 ? r->run : r->n);
    fclose(f);
}

/* The machine, as far as it says what it is. */
static inline void bench_machine(void)
{
    char line[256], model[200] = "unknown processor";
    FILE *f = fopen("/proc/cpuinfo", "r");
    struct utsname u;

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "model name : %199[^\n]", model) == 1)
            break;
    }
    if (f != NULL)
        fclose(f);
    uname(&u);
    printf("%s, %ld processors, Linux %s, gcc %s\n", model, sysconf(_SC_NPROCESSORS_ONLN),
           u.release, __VERSION__);
}

#endif
