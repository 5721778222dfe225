/* SPDX-License-Identifier: Apache-2.0 */
/* Failpoints: what PENSTOCK_FAILPOINT asks for happens, at the time it says, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* As `make failpoints` makes it, in a program that otherwise has no failpoint. */
#ifndef PENSTOCK_FAILPOINTS
#define PENSTOCK_FAILPOINTS
#endif
#include "util/failpoint.c" /* NOLINT: the point of this test */

#include <sys/wait.h>

static void one(void)
{
    FAILPOINT("test.one");
}

static void two(void)
{
    FAILPOINT("test.two");
}

/* Reaches one, two, one, two, .. ten times each in a child; -signal, or the exit code. */
static int run(const char *ask, const char *log)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, STDERR_FILENO);
        unsetenv("PENSTOCK_FAILPOINT");
        unsetenv("PENSTOCK_FAILPOINT_LOG");
        if (ask != NULL)
            setenv("PENSTOCK_FAILPOINT", ask, 1);
        if (log != NULL)
            setenv("PENSTOCK_FAILPOINT_LOG", log, 1);
        for (int i = 0; i < 10; i++) {
            one();
            two();
        }
        _exit(42);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void the_list(void **state)
{
    char text[128] = "";
    FILE *f = fmemopen(text, sizeof(text), "w");

    (void)state;
    failpoint_list(f);
    fclose(f);
    assert_string_equal(text, "test.one\ntest.two\n");
}

static void what_is_asked_for(void **state)
{
    int64_t began;

    (void)state;
    assert_int_equal(run(NULL, NULL), 42);
    assert_int_equal(run("test.one", NULL), -SIGKILL);
    assert_int_equal(run("test.two:kill", NULL), -SIGKILL);
    assert_int_equal(run("test.two:10", NULL), -SIGKILL);
    assert_int_equal(run("test.two:11", NULL), 42); /* reached ten times only */
    assert_int_equal(run("test.one:exit", NULL), 1);
    assert_int_equal(run("test.one:3:exit", NULL), 1);
    began = clock_mono_ms();
    assert_int_equal(run("test.one:2:sleep=300", NULL), 42);
    assert_in_range(clock_mono_ms() - began, 300, 2900); /* once, not nine times */
    began = clock_mono_ms();
    assert_int_equal(run("test.one:2:sleep=300,test.two:10:kill", NULL), -SIGKILL);
    assert_in_range(clock_mono_ms() - began, 300, 2900);
}

static void what_is_wrong_is_said(void **state)
{
    static const char *const wrong[] = {
        "",
        "test.on",
        "test.one.",
        "test.one:0",
        "test.one:-1",
        "test.one:two",
        "test.one:1:2",
        "test.one:exit:3",
        "test.one:exit:exit",
        "test.one:sleep",
        "test.one:sleep=x",
        "test.one:1x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(run(wrong[i], NULL), 2);
    assert_int_equal(run(NULL, "/nonexistent/log"), 2);
}

static void the_log(void **state)
{
    char path[] = "/tmp/test_failpoint.XXXXXX", text[256] = "";
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(run("test.two:5", path), -SIGKILL);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    assert_string_equal(text,
                        "test.one\ntest.two\ntest.one:2\ntest.two:2\ntest.one:4\ntest.two:4\n");
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list),
        cmocka_unit_test(what_is_asked_for),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
