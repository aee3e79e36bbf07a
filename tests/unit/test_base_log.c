#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

/* What was written to stderr since capture(). */
static char text[65536];
static int saved_stderr = -1, captured = -1;

static void capture(void)
{
    captured = memfd_create("stderr", MFD_CLOEXEC);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(captured >= 0 && saved_stderr >= 0);
    assert_int_equal(dup2(captured, STDERR_FILENO), STDERR_FILENO);
}

static const char *end_capture(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    ssize_t n = pread(captured, text, sizeof text - 1, 0);
    close(saved_stderr);
    close(captured);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

/* The line less its time, which must look like one. */
static const char *after_time(const char *line, const char *prefix)
{
    size_t n = strlen(prefix);
    assert_memory_equal(line, prefix, n);
    assert_int_equal(line[n + strlen("2026-11-21T01:18:02")], 'Z');
    return line + n + strlen("2026-11-21T01:18:02Z");
}

static int restore(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_LOGFMT);
    return 0;
}

static void test_logfmt(void **state)
{
    (void)state;
    capture();
    log_event(LOG_INFO, "started", LOG_INT("port", 8080), LOG_STR("root", "./media"), LOG_INT("low", INT64_MIN));
    const char *line = after_time(end_capture(), "time=");
    assert_string_equal(line, " level=info event=started port=8080 root=./media low=-9223372036854775808\n");
}

static void test_json(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    capture();
    log_event(LOG_WARN, "database warning", LOG_STR("text", "none"), LOG_INT("tries", 3));
    const char *line = after_time(end_capture(), "{\"time\":\"");
    assert_string_equal(line, "\",\"level\":\"warn\",\"event\":\"database warning\",\"text\":\"none\",\"tries\":3}\n");
}

static void test_levels(void **state)
{
    (void)state;
    log_setup(LOG_WARN, LOG_LOGFMT);
    capture();
    log_event(LOG_DEBUG, "no", LOG_INT("n", 1));
    log_event(LOG_INFO, "no", LOG_INT("n", 2));
    assert_string_equal(end_capture(), "");

    log_setup(LOG_DEBUG, LOG_LOGFMT);
    capture();
    log_event(LOG_DEBUG, "yes", LOG_INT("n", 1));
    log_event(LOG_ERROR, "yes", LOG_INT("n", 2));
    const char *lines = end_capture();
    assert_non_null(strstr(lines, " level=debug event=yes n=1\n"));
    assert_non_null(strstr(lines, " level=error event=yes n=2\n"));
}

/* Values that would end the line, the quotes or the pair if they could. */
static const char *const hostile[] = {
    "",
    "two words",
    "say \"hi\"",
    "back\\slash",
    "a=b",
    "x\ntime=1970-01-01T00:00:00Z level=error event=forged",
    "\"}\n{\"event\":\"forged\"",
    "\r\n\t",
    " \x1b[2J\x01\x7f",
    "caf\xc3\xa9 au lait",
};
#define HOSTILE (sizeof hostile / sizeof hostile[0])

static void test_hostile_json(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    for (size_t i = 0; i < HOSTILE; i++) {
        capture();
        log_event(LOG_INFO, hostile[i], LOG_STR("path", hostile[i]));
        const char *line = end_capture();
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);

        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(json);
        assert_int_equal(json_object_size(json), 4);
        assert_string_equal(json_string_value(json_object_get(json, "event")), hostile[i]);
        assert_string_equal(json_string_value(json_object_get(json, "path")), hostile[i]);
        json_decref(json);
    }
}

static void test_hostile_logfmt(void **state)
{
    (void)state;
    for (size_t i = 0; i < HOSTILE; i++) {
        capture();
        log_event(LOG_INFO, "seen", LOG_STR("path", hostile[i]));
        const char *line = end_capture();
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);

        const char *value = strstr(line, " path=");
        assert_non_null(value);
        value += strlen(" path=");
        /* One quoted value that only the line's end follows. */
        assert_int_equal(*value++, '"');
        while (*value != '"') {
            assert_true((unsigned char)*value >= 0x20 && *value != 0x7f);
            value += *value == '\\' ? 2 : 1;
        }
        assert_string_equal(value, "\"\n");
    }
}

static void test_long_value(void **state)
{
    (void)state;
    char longer[5000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    capture();
    log_event(LOG_INFO, "long", LOG_STR("path", longer), LOG_INT("after", 1));
    const char *value = strstr(end_capture(), " path=\"");
    assert_non_null(value);
    value += strlen(" path=\"");
    assert_int_equal(strspn(value, "x"), 1000);
    assert_string_equal(value + 1000, "\" after=1\n");
}

/* Whatever the value: one line, printable, and in JSON one that can be read. */
static void test_hostile_bytes(void **state)
{
    (void)state;
    char cut_in_half[1003];
    memset(cut_in_half, 'x', sizeof cut_in_half);
    memcpy(cut_in_half + 999, "\xc3\xa9!", 4);
    const char *const values[] = {"\x1b[2J", "\xff\xfe", "caf\xc3", cut_in_half, "\x7f"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        for (int json = 0; json < 2; json++) {
            log_setup(LOG_INFO, json ? LOG_JSON : LOG_LOGFMT);
            capture();
            log_event(LOG_INFO, "seen", LOG_STR("value", values[i]), LOG_STR("again", values[i]));
            const char *line = end_capture();
            assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
            for (const char *c = line; *c && *c != '\n'; c++)
                assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
            json_t *read = json ? json_loads(line, 0, NULL) : NULL;
            assert_true(!json || json_is_object(read));
            json_decref(read);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_logfmt, restore),         cmocka_unit_test_teardown(test_json, restore),
        cmocka_unit_test_teardown(test_levels, restore),         cmocka_unit_test_teardown(test_hostile_json, restore),
        cmocka_unit_test_teardown(test_hostile_logfmt, restore), cmocka_unit_test_teardown(test_long_value, restore),
        cmocka_unit_test_teardown(test_hostile_bytes, restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
