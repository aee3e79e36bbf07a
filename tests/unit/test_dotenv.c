#include "config/dotenv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

/* Each text is one line or more, of which the last pair counts. */
static const struct {
    const char *text, *name, *value;
} good[] = {
    {"A=b", "A", "b"},
    {"A=b\n", "A", "b"},
    {"A=b\r\n", "A", "b"},
    {"  A = b \t\n", "A", "b"},
    {"export A=b", "A", "b"},
    {"export\t A=b", "A", "b"},
    {"export=b", "export", "b"},
    {"export = b", "export", "b"},
    {"exported=b", "exported", "b"},
    {"_a9=b", "_a9", "b"},
    {"A=", "A", ""},
    {"A= # nothing", "A", ""},
    {"A=b # comment", "A", "b"},
    {"A=b\t# comment", "A", "b"},
    {"A=b#c", "A", "b#c"},
    {"A=#c", "A", "#c"},
    {"A=b=c", "A", "b=c"},
    {"A=b c", "A", "b c"},
    {"A=host=h password='x y'", "A", "host=h password='x y'"},
    {"A=$HOME\\n", "A", "$HOME\\n"},
    {"A=''", "A", ""},
    {"A='b # \\n \" $x'", "A", "b # \\n \" $x"},
    {"A='b' # comment", "A", "b"},
    {"A=\"\"", "A", ""},
    {"A=\"b # 'c'\"  ", "A", "b # 'c'"},
    {"A=\"\\n\\\"\\\\\\$$x\"", "A", "\n\"\\$$x"},
    {"\n# c\n\n \t\nA=b\n#A=c", "A", "b"},
    {"A=1\nA=2", "A", "2"},
    {"\xef\xbb\xbf"
     "A=b",
     "A", "b"},
};

static void reads_what_is_well_formed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct dotenv d;
        struct error e = {0};
        assert_int_equal(dotenv_parse(good[i].text, strlen(good[i].text), &d, &e), 0);
        assert_true(d.len >= 1);
        const struct dotenv_pair *pair = dotenv_get(&d, good[i].name);
        assert_non_null(pair);
        assert_string_equal(pair->value, good[i].value);
        dotenv_release(&d);
    }
}

static const struct {
    const char *text, *error;
} bad[] = {
    {"A", "line 1: has no ="},
    {"A b=c", "line 1: has no ="},
    {"A-B=c", "line 1: has no ="},
    {"export A", "line 1: has no ="},
    {"=b", "line 1: does not start with a name"},
    {"9A=b", "line 1: does not start with a name"},
    {"A=b\n\n# c\n!\n", "line 4: does not start with a name"},
    {"A='b", "line 1: has a quote that is not closed"},
    {"A=\"b", "line 1: has a quote that is not closed"},
    {"A=\"b\nc\"", "line 1: has a quote that is not closed"},
    {"A=\"b\\", "line 1: has an unknown escape"},
    {"A=\"b\\\"", "line 1: has a quote that is not closed"},
    {"A=\"\\t\"", "line 1: has an unknown escape"},
    {"A='b'c", "line 1: goes on behind the closing quote"},
    {"A='b'#c", "line 1: goes on behind the closing quote"},
    {"A=\"b\" c", "line 1: goes on behind the closing quote"},
};

static void names_the_line_of_a_mistake(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct dotenv d = {.len = 77};
        struct error e = {0};
        assert_int_equal(dotenv_parse(bad[i].text, strlen(bad[i].text), &d, &e), -EINVAL);
        assert_int_equal(e.code, -EINVAL);
        assert_memory_equal(e.text, bad[i].error, strlen(bad[i].error));
        assert_int_equal(d.len, 77);
        assert_int_equal(dotenv_parse(bad[i].text, strlen(bad[i].text), &d, NULL), -EINVAL);
    }
}

static void does_not_repeat_what_it_refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {"PASSWORD='hush", "PASSWORD=\"hush", "hush", "P='a' hush", "P=\"\\hush\""};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct dotenv d;
        struct error e = {0};
        assert_int_equal(dotenv_parse(texts[i], strlen(texts[i]), &d, &e), -EINVAL);
        assert_null(strstr(e.text, "hush"));
    }
}

static void refuses_binary_and_large_files(void **state)
{
    (void)state;
    struct dotenv d;
    struct error e = {0};
    assert_int_equal(dotenv_parse("A=b\0c", 5, &d, &e), -EINVAL);
    assert_non_null(strstr(e.text, "NUL"));

    static char text[DOTENV_MAX_BYTES + 1];
    memset(text, 'x', sizeof text);
    text[1] = '=';
    assert_int_equal(dotenv_parse(text, sizeof text, &d, &e), -EFBIG);
    assert_int_equal(dotenv_parse(text, sizeof text - 1, &d, &e), 0);
    assert_int_equal(strlen(d.pairs[0].value), sizeof text - 3);
    dotenv_release(&d);

    assert_int_equal(dotenv_parse("", 0, &d, &e), 0);
    assert_int_equal(d.len, 0);
    dotenv_release(&d);
}

/* Writes a file and returns its name in `path`. */
static void make_file(char *path, size_t size, const char *text, size_t len)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, size, "%s/dotenv-XXXXXX", folder ? folder : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    close(fd);
}

static void reads_files(void **state)
{
    (void)state;
    static char text[DOTENV_MAX_BYTES + 100];
    char path[256];
    struct dotenv d;
    struct error e = {0};

    make_file(path, sizeof path, "A=b\nB=c\n", 8);
    assert_int_equal(dotenv_read(path, &d, &e), 0);
    assert_int_equal(d.len, 2);
    assert_int_equal(d.pairs[1].line, 2);
    dotenv_release(&d);
    unlink(path);

    assert_int_equal(dotenv_read(path, &d, &e), -ENOENT);
    assert_non_null(strstr(e.text, path));
    assert_int_equal(dotenv_read("/", &d, &e), -EISDIR);
    assert_int_equal(dotenv_read("/dev/null", &d, &e), 0);
    dotenv_release(&d);

    memset(text, '\n', sizeof text);
    make_file(path, sizeof path, text, sizeof text);
    assert_int_equal(dotenv_read(path, &d, &e), -EFBIG);
    assert_non_null(strstr(e.text, path));
    unlink(path);
}

static void prints_what_reads_back(void **state)
{
    (void)state;
    static const char *const values[] = {"",   "abc", "a b", " a ", "#",     "a #b", "'",        "\"",
                                         "\\", "\\n", "\n",  "a\r", "$HOME", "\t",   "\xc3\xa9", "'a' b"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct buf line;
        struct dotenv d;
        buf_init(&line, 1000);
        assert_int_equal(buf_addstr(&line, "A="), 0);
        assert_int_equal(dotenv_print_value(values[i], &line), 0);
        assert_int_equal(buf_addstr(&line, " # comment\n"), 0);
        assert_int_equal(dotenv_parse(line.data, line.len, &d, NULL), 0);
        assert_int_equal(d.len, 1);
        assert_string_equal(d.pairs[0].value, values[i]);
        dotenv_release(&d);
        buf_release(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_well_formed),
        cmocka_unit_test(names_the_line_of_a_mistake),
        cmocka_unit_test(does_not_repeat_what_it_refuses),
        cmocka_unit_test(refuses_binary_and_large_files),
        cmocka_unit_test(reads_files),
        cmocka_unit_test(prints_what_reads_back),
    };
    return cmocka_run_group_tests_name("dotenv", tests, NULL, NULL);
}
