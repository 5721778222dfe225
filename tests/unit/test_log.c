/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the log: one each, and valid JSON whatever anybody is called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/log.h"

static const char *const hostile[] = {
    "plain",
    "quote \" backslash \\ \\\" end\\",
    "line\nfeed\r\ttab \x01\x1f\x7f",
    "escape \x1b[2J and C1 \xc2\x9b",
    "latin \xe4\xf6 cut \xe4\xb8",
    "\xe6\xb3\xa8\xe6\x96\x87 \xf0\x9f\x98\x80",
    "surrogate \xed\xa0\x80 overlong \xc0\xaf high \xf5\x80\x80\x80",
    "{\"level\":\"forged\"}",
    "",
};

/* What a call writes to stderr. */
static char *written(const char *connector, const char *text)
{
    static char out[65536];
    FILE *f = tmpfile();
    int old = dup(STDERR_FILENO);
    size_t n;

    assert_non_null(f);
    dup2(fileno(f), STDERR_FILENO);
    log_set_connector(connector);
    log_write(LOG_ERROR, "%s", text);
    log_set_connector(NULL);
    dup2(old, STDERR_FILENO);
    close(old);
    rewind(f);
    n = fread(out, 1, sizeof(out) - 1, f);
    out[n] = '\0';
    fclose(f);
    return out;
}

static json_t *parse(const char *line)
{
    json_error_t e;
    json_t *j = json_loads(line, 0, &e);

    if (j == NULL)
        fail_msg("%s: %s", e.text, line);
    return j;
}

static void one_line(const char *s)
{
    assert_true(s[0] != '\0' && strchr(s, '\n') == s + strlen(s) - 1);
}

static void test_json(void **state)
{
    (void)state;
    log_set_json(true);
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        char *line = written(hostile[i], hostile[i]);
        json_t *j;

        one_line(line);
        j = parse(line);
        assert_string_equal(json_string_value(json_object_get(j, "level")), "error");
        assert_string_equal(json_string_value(json_object_get(j, "message")),
                            json_string_value(json_object_get(j, "connector")));
        assert_int_equal(json_object_size(j), 4);
        json_decref(j);
    }
    {
        json_t *j = parse(written(NULL, hostile[1]));

        assert_string_equal(json_string_value(json_object_get(j, "message")), hostile[1]);
        assert_null(json_object_get(j, "connector"));
        json_decref(j);
    }
    log_set_json(false);
}

/* Longer than a line may be, with characters that are cut and grow when they are escaped. */
static void test_json_is_cut_whole(void **state)
{
    static const char *const units[] = {"\"", "\\", "\xe6\xb3\xa8", "\xf0\x9f\x98\x80", "a\xff"};

    (void)state;
    log_set_json(true);
    for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
        for (int shift = 0; shift < 4; shift++) {
            char *text = calloc(1, 20001), *line;

            memset(text, 'x', (size_t)shift);
            for (size_t n = (size_t)shift; n + 5 < 20000; n += strlen(units[u]))
                strcpy(text + n, units[u]);
            line = written(text, text);
            one_line(line);
            json_decref(parse(line));
            free(text);
        }
    }
    log_set_json(false);
}

static void test_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        char *line = written(hostile[i], hostile[i]);

        one_line(line);
        assert_null(strpbrk(line, "\x1b\r\x7f"));
        assert_null(strstr(line, "\xc2\x9b"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_is_cut_whole),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
