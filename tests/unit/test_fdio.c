/* All of it, or why not. */
#include "fs/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE ((size_t)200000) /* more than a pipe holds, and more than one piece of a copy */

static unsigned char *bytes_new(void)
{
    unsigned char *bytes = malloc(SIZE);
    assert_non_null(bytes);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251);
    return bytes;
}

static void *drain(void *arg)
{
    static unsigned char got[SIZE];
    const int *fd = arg;
    size_t n = 0;
    for (ssize_t some; n < SIZE && (some = read(*fd, got + n, SIZE - n)) > 0;)
        n += (size_t)some;
    return n == SIZE ? got : NULL;
}

static void test_a_pipe_takes_it_in_parts(void **state)
{
    (void)state;
    unsigned char *bytes = bytes_new();
    int ends[2];
    pthread_t reader;
    void *got;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pthread_create(&reader, NULL, drain, &ends[0]), 0);
    assert_int_equal(fdio_write(ends[1], bytes, SIZE), 0);
    assert_int_equal(pthread_join(reader, &got), 0);
    assert_non_null(got);
    assert_memory_equal(got, bytes, SIZE);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(fdio_write(ends[1], bytes, 1), -EBADF);
    free(bytes);
}

static void test_reading_and_copying(void **state)
{
    (void)state;
    unsigned char *bytes = bytes_new(), *got = malloc(SIZE);
    int from = memfd_create("from", MFD_CLOEXEC), to = memfd_create("to", MFD_CLOEXEC);
    assert_non_null(got);
    assert_int_equal(fdio_write(from, bytes, SIZE), 0);
    assert_int_equal(fdio_read(from, got, 1000, 150000), 0);
    assert_memory_equal(got, bytes + 150000, 1000);
    assert_int_equal(fdio_read(from, got, 1000, (int64_t)SIZE - 999), -EIO);
    assert_int_equal(fdio_read(from, got, 0, (int64_t)SIZE), 0);
    assert_int_equal(fdio_read(-1, got, 1, 0), -EBADF);

    assert_int_equal(fdio_copy(to, from, (int64_t)SIZE - 1), 0);
    assert_int_equal(lseek(to, 0, SEEK_END), SIZE - 1);
    assert_int_equal(fdio_read(to, got, SIZE - 1, 0), 0);
    assert_memory_equal(got, bytes, SIZE - 1);
    assert_int_equal(fdio_copy(to, from, (int64_t)SIZE + 1), -EIO);
    assert_int_equal(fdio_copy(-1, from, 1), -EBADF);
    close(from);
    close(to);
    free(got);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pipe_takes_it_in_parts),
        cmocka_unit_test(test_reading_and_copying),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
