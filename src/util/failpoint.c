/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PENSTOCK_FAILPOINT asks for is read once, when the first point is reached; what is wrong in
 * it ends the process with one line and exit code 2, so that no test passes for a misspelt name.
 */
#include "util/failpoint.h"

#ifdef PENSTOCK_FAILPOINTS
#include "util/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Made by the linker; weak: a program may have no point at all. */
extern struct failpoint *const __start_penstock_failpoints[] __attribute__((weak));
extern struct failpoint *const __stop_penstock_failpoints[] __attribute__((weak));

enum action { ACTION_KILL, ACTION_EXIT, ACTION_SLEEP };

static struct {
    pthread_once_t once;
    char name[64]; /* "" : none */
    unsigned nth;
    enum action action;
    int sleep_ms;
    const char *log;
} plan = {.once = PTHREAD_ONCE_INIT};

static size_t count(void)
{
    /* cppcheck-suppress comparePointers ; the linker puts one behind the other */
    return (size_t)(__stop_penstock_failpoints - __start_penstock_failpoints);
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < count(); i++) {
        if (strcmp(__start_penstock_failpoints[i]->name, name) == 0)
            return true;
    }
    return false;
}

static bool take_number(const char *text, unsigned *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n > 1000000000)
        return false;
    *out = (unsigned)n;
    return true;
}

static bool take_action(const char *text)
{
    unsigned ms;

    if (strcmp(text, "kill") == 0) {
        plan.action = ACTION_KILL;
    } else if (strcmp(text, "exit") == 0) {
        plan.action = ACTION_EXIT;
    } else if (strncmp(text, "sleep=", 6) == 0 && take_number(text + 6, &ms)) {
        plan.action = ACTION_SLEEP;
        plan.sleep_ms = (int)ms;
    } else {
        return false;
    }
    return true;
}

/* NAME[:N][:ACTION] */
static bool take_plan(const char *text)
{
    char copy[128], *save = NULL, *part;
    bool ok = true, counted = false;

    if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
        return false;
    part = strtok_r(copy, ":", &save);
    if (part == NULL || strlen(part) >= sizeof(plan.name) || !is_known(part))
        return false;
    plan.nth = 1;
    strcpy(plan.name, part);
    for (int i = 0; ok && (part = strtok_r(NULL, ":", &save)) != NULL; i++) {
        if (i == 0 && take_number(part, &plan.nth))
            counted = ok = plan.nth > 0;
        else
            ok = i <= counted && take_action(part);
    }
    return ok;
}

static void read_environment(void)
{
    const char *text = getenv("PENSTOCK_FAILPOINT");

    plan.log = getenv("PENSTOCK_FAILPOINT_LOG");
    if (text == NULL || take_plan(text))
        return;
    fprintf(stderr, "penstock: PENSTOCK_FAILPOINT=%s is not NAME[:N][:kill|exit|sleep=MS]\n", text);
    _exit(2);
}

static void note(const char *name, unsigned nth)
{
    char line[96];
    int fd, n;

    if (plan.log == NULL || (nth & (nth - 1)) != 0)
        return;
    n = nth == 1 ? snprintf(line, sizeof(line), "%s\n", name)
                 : snprintf(line, sizeof(line), "%s:%u\n", name, nth);
    fd = open(plan.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)n) != n) {
        fprintf(stderr, "penstock: PENSTOCK_FAILPOINT_LOG=%s cannot be written\n", plan.log);
        _exit(2);
    }
    close(fd);
}

static void act(void)
{
    if (plan.action == ACTION_SLEEP) {
        clock_sleep_ms(plan.sleep_ms);
        return;
    }
    if (plan.action == ACTION_KILL)
        kill(getpid(), SIGKILL);
    _exit(1);
}

void failpoint_reached(struct failpoint *f)
{
    unsigned nth = atomic_fetch_add(&f->reached, 1) + 1;

    pthread_once(&plan.once, read_environment);
    note(f->name, nth);
    if (nth == plan.nth && strcmp(f->name, plan.name) == 0)
        act();
}

static int by_name(const void *a, const void *b)
{
    const struct failpoint *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

void failpoint_list(FILE *out)
{
    size_t n = count();
    struct failpoint **sorted = calloc(n + 1, sizeof(struct failpoint *));

    if (sorted == NULL)
        return;
    memcpy(sorted, __start_penstock_failpoints, n * sizeof(struct failpoint *));
    qsort(sorted, n, sizeof(struct failpoint *), by_name);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s\n", sorted[i]->name);
    free(sorted);
}
#else
void failpoint_list(FILE *out)
{
    (void)out;
}
#endif
