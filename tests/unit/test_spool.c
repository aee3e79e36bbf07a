/* What goes in piece by piece comes out again, from memory and from the file alike. */
#include "fs/spool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof(array)[0])

static unsigned char byte_at(int64_t i)
{
    return (unsigned char)(i * 7 + i / 251);
}

static void fill(struct spool *s, int64_t size, size_t piece)
{
    unsigned char bytes[64];
    struct error e;
    assert_true(piece <= sizeof bytes);
    while (s->size < size) {
        size_t n = size - s->size < (int64_t)piece ? (size_t)(size - s->size) : piece;
        for (size_t i = 0; i < n; i++)
            bytes[i] = byte_at(s->size + (int64_t)i);
        assert_int_equal(spool_add(s, bytes, n, &e), 0);
    }
}

static void check(const struct spool *s, int64_t offset, size_t n)
{
    unsigned char got[300];
    size_t len = 12345, expected = offset >= s->size               ? 0
                                   : s->size - offset < (int64_t)n ? (size_t)(s->size - offset)
                                                                   : n;
    assert_true(n <= sizeof got);
    assert_int_equal(spool_read(s, offset, got, n, &len), 0);
    assert_int_equal(len, expected);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(got[i], byte_at(offset + (int64_t)i));
}

static void gives_back_what_it_took(void **state)
{
    (void)state;
    static const struct {
        int64_t size;
        int in_file;
    } cases[] = {{0, 0}, {1, 0}, {99, 0}, {100, 0}, {101, 1}, {1000, 1}};
    static const size_t pieces[] = {1, 7, 64};
    for (size_t i = 0; i < LEN(cases); i++)
        for (size_t j = 0; j < LEN(pieces); j++) {
            struct spool s;
            spool_init(&s, 100);
            fill(&s, cases[i].size, pieces[j]);
            assert_int_equal(s.size, cases[i].size);
            assert_int_equal(s.fd >= 0, cases[i].in_file);
            for (int64_t offset = 0; offset <= cases[i].size + 1; offset += 37)
                check(&s, offset, 100);
            check(&s, 0, 300);
            spool_release(&s);
        }
}

static void leaves_no_name(void **state)
{
    (void)state;
    struct spool s;
    struct stat st;
    spool_init(&s, 0);
    fill(&s, 10, 10);
    assert_true(s.fd >= 0);
    assert_int_equal(fstat(s.fd, &st), 0);
    assert_int_equal(st.st_nlink, 0);
    spool_release(&s);
}

static void passes_over_a_folder_that_is_none(void **state)
{
    (void)state;
    char *before = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;
    struct spool s;
    setenv("TMPDIR", "/nowhere/at/all", 1);
    spool_init(&s, 0);
    fill(&s, 10, 10);
    check(&s, 0, 10);
    spool_release(&s);
    if (before)
        setenv("TMPDIR", before, 1);
    else
        unsetenv("TMPDIR");
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_it_took),
        cmocka_unit_test(leaves_no_name),
        cmocka_unit_test(passes_over_a_folder_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
