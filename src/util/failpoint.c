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

struct step {
    char name[64];
    unsigned nth;
    enum action action;
    int sleep_ms;
};

static struct {
    pthread_once_t once;
    struct step steps[4];
    int nsteps;
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

static bool take_action(struct step *step, const char *text)
{
    unsigned ms;

    if (strcmp(text, "kill") == 0) {
        step->action = ACTION_KILL;
    } else if (strcmp(text, "exit") == 0) {
        step->action = ACTION_EXIT;
    } else if (strncmp(text, "sleep=", 6) == 0 && take_number(text + 6, &ms)) {
        step->action = ACTION_SLEEP;
        step->sleep_ms = (int)ms;
    } else {
        return false;
    }
    return true;
}

/* NAME[:N][:ACTION]; the text is cut up. */
static bool take_step(struct step *step, char *text)
{
    char *save = NULL, *part = strtok_r(text, ":", &save);
    bool ok = true, counted = false;

    if (part == NULL || strlen(part) >= sizeof(step->name) || !is_known(part))
        return false;
    step->nth = 1;
    strcpy(step->name, part);
    for (int i = 0; ok && (part = strtok_r(NULL, ":", &save)) != NULL; i++) {
        if (i == 0 && take_number(part, &step->nth))
            counted = ok = step->nth > 0;
        else
            ok = i <= counted && take_action(step, part);
    }
    return ok;
}

static bool take_plan(const char *text)
{
    char copy[512], *save = NULL, *part;
    const int max = (int)(sizeof(plan.steps) / sizeof(plan.steps[0]));
    bool ok = (size_t)snprintf(copy, sizeof(copy), "%s", text) < sizeof(copy);

    for (part = strtok_r(copy, ",", &save); ok && part != NULL; part = strtok_r(NULL, ",", &save))
        ok = plan.nsteps < max && take_step(&plan.steps[plan.nsteps++], part);
    return ok && plan.nsteps > 0;
}

static void read_environment(void)
{
    const char *text = getenv("PENSTOCK_FAILPOINT");

    plan.log = getenv("PENSTOCK_FAILPOINT_LOG");
    if (text == NULL || take_plan(text))
        return;
    fprintf(stderr, "penstock: PENSTOCK_FAILPOINT=%s is not NAME[:N][:kill|exit|sleep=MS],..\n",
            text);
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

static void act(const struct step *step)
{
    if (step->action == ACTION_SLEEP) {
        clock_sleep_ms(step->sleep_ms);
        return;
    }
    if (step->action == ACTION_KILL)
        kill(getpid(), SIGKILL);
    _exit(1);
}

void failpoint_reached(struct failpoint *f)
{
    unsigned nth = atomic_fetch_add(&f->reached, 1) + 1;

    pthread_once(&plan.once, read_environment);
    note(f->name, nth);
    for (int i = 0; i < plan.nsteps; i++) {
        if (nth == plan.steps[i].nth && strcmp(f->name, plan.steps[i].name) == 0)
            act(&plan.steps[i]);
    }
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
