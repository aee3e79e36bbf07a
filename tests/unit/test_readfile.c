#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fs/readfile.h"
#include "scratch.h"

#define MAX_BYTES ((size_t)1 << 20)

static int setup(void **state)
{
    static struct scratch s;
    *state = &s;
    return scratch_make(&s);
}

static int teardown(void **state)
{
    scratch_remove(*state);
    return 0;
}

static void test_whole(void **state)
{
    const struct scratch *s = *state;
    static const char *const texts[] = {"", "x", "a longer text"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buf b;
        struct stat st;
        assert_int_equal(scratch_write(s, "f", texts[i]), 0);
        buf_init(&b, MAX_BYTES);
        assert_int_equal(buf_addstr(&b, "kept:"), 0);
        assert_int_equal(readfile(s->fd, "f", SAFEPATH_NO_LINKS, MAX_BYTES, &b, &st, NULL), 0);
        assert_int_equal(b.len, 5 + strlen(texts[i]));
        assert_memory_equal(b.data, "kept:", 5);
        assert_string_equal(b.data + 5, texts[i]);
        assert_int_equal(st.st_size, strlen(texts[i]));
        buf_release(&b);
    }
}

static void test_limits(void **state)
{
    const struct scratch *s = *state;
    struct buf b;
    struct stat st = {0};
    struct error e = {0};
    assert_int_equal(scratch_write(s, "f", "1234567890"), 0);

    buf_init(&b, 10);
    assert_int_equal(readfile(s->fd, "f", SAFEPATH_NO_LINKS, 9, &b, &st, &e), -EFBIG);
    assert_int_equal(st.st_size, 10);
    assert_int_equal(b.len, 0);
    assert_non_null(strstr(e.text, "10 bytes large, at most 9"));
    assert_int_equal(readfile(s->fd, "f", SAFEPATH_NO_LINKS, 10, &b, &st, &e), 0);
    assert_int_equal(b.len, 10);
    assert_int_equal(readfile(s->fd, "f", SAFEPATH_NO_LINKS, 10, &b, &st, &e), -EMSGSIZE);
    assert_int_equal(b.len, 10);
    assert_string_equal(b.data, "1234567890");
    buf_release(&b);
}

static void test_head(void **state)
{
    const struct scratch *s = *state;
    struct readfile f;
    char head[8];
    size_t n = 0;
    assert_int_equal(scratch_write(s, "f", "1234567890"), 0);
    assert_int_equal(readfile_open(&f, s->fd, "f", SAFEPATH_NO_LINKS, NULL), 0);
    assert_int_equal(f.st.st_size, 10);
    assert_int_equal(readfile_head(&f, head, sizeof head, &n, NULL), 0);
    assert_int_equal(n, 8);
    assert_memory_equal(head, "12345678", 8);

    struct buf b;
    struct stat st;
    buf_init(&b, MAX_BYTES);
    assert_int_equal(readfile_all(&f, MAX_BYTES, &b, &st, NULL), 0);
    assert_string_equal(b.data, "1234567890");
    buf_release(&b);
    readfile_close(&f);

    assert_int_equal(scratch_write(s, "f", "12"), 0);
    assert_int_equal(readfile_open(&f, s->fd, "f", SAFEPATH_NO_LINKS, NULL), 0);
    assert_int_equal(readfile_head(&f, head, sizeof head, &n, NULL), 0);
    assert_int_equal(n, 2);
    readfile_close(&f);
}

static void expect_refused(const struct scratch *s, const char *path, enum safepath_links links, int code)
{
    struct readfile f = {.fd = -7};
    struct error e = {0};
    assert_int_equal(readfile_open(&f, s->fd, path, links, &e), code);
    assert_int_equal(f.fd, -7);
    assert_int_equal(e.code, code);
    assert_true(strlen(e.text) > 10);
}

static void test_refused(void **state)
{
    const struct scratch *s = *state;
    assert_int_equal(mkfifoat(s->fd, "fifo", 0644), 0);
    assert_int_equal(mkdirat(s->fd, "dir", 0755), 0);
    assert_int_equal(scratch_write(s, "f", "x"), 0);
    assert_int_equal(symlinkat("f", s->fd, "link"), 0);
    assert_int_equal(symlinkat("/etc/passwd", s->fd, "out"), 0);
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/sock", s->fd);
    assert_int_equal(bind(sock, (struct sockaddr *)&at, sizeof at), 0);
    close(sock);

    expect_refused(s, "fifo", SAFEPATH_NO_LINKS, -ENXIO); /* and does not wait for a writer */
    expect_refused(s, "sock", SAFEPATH_NO_LINKS, -ENXIO);
    expect_refused(s, "dir", SAFEPATH_NO_LINKS, -EISDIR);
    expect_refused(s, "none", SAFEPATH_NO_LINKS, -ENOENT);
    expect_refused(s, "f/x", SAFEPATH_NO_LINKS, -ENOTDIR);
    expect_refused(s, "link", SAFEPATH_NO_LINKS, -ELOOP);
    if (safepath_follows_links())
        expect_refused(s, "out", SAFEPATH_BENEATH, -EXDEV);
}

static int read_as_nobody(struct scratch *s)
{
    struct buf b;
    struct stat st;
    struct error e = {0};
    if (scratch_become_nobody() < 0 || faccessat(s->fd, "readable", R_OK, AT_EACCESS) < 0)
        return SCRATCH_SKIP;
    buf_init(&b, MAX_BYTES);
    /* Somebody else's: O_NOATIME is refused, reading is not. */
    SCRATCH_CHECK(readfile(s->fd, "readable", SAFEPATH_NO_LINKS, MAX_BYTES, &b, &st, &e) == 0);
    SCRATCH_CHECK(b.len == 4);
    SCRATCH_CHECK(readfile(s->fd, "secret", SAFEPATH_NO_LINKS, MAX_BYTES, &b, &st, &e) == -EACCES);
    SCRATCH_CHECK(strstr(e.text, "access") != NULL);
    buf_release(&b);
    return 0;
}

static void test_permissions(void **state)
{
    struct scratch *s = *state;
    assert_int_equal(scratch_write(s, "readable", "text"), 0);
    assert_int_equal(scratch_write(s, "secret", "text"), 0);
    assert_int_equal(fchmodat(s->fd, "secret", 0, 0), 0);
    int r = scratch_fork(read_as_nobody, s);
    if (r == SCRATCH_SKIP)
        skip();
    assert_int_equal(r, 0);
}

/* What is read right after it was written is read only once the clock is past the file's stamps. */
static void test_racily_clean(void **state)
{
    const struct scratch *s = *state;
    struct buf b;
    struct stat st;
    buf_init(&b, MAX_BYTES);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(scratch_write(s, "f", "x"), 0);
        buf_reset(&b);
        assert_int_equal(readfile(s->fd, "f", SAFEPATH_NO_LINKS, MAX_BYTES, &b, &st, NULL), 0);
        struct timespec now;
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
        assert_true(clock_ns(now) > clock_ns(st.st_mtim));
        assert_true(clock_ns(now) > clock_ns(st.st_ctim));
    }
    buf_release(&b);
}

static int64_t read_ms(const struct scratch *s, int64_t ahead_ms)
{
    struct buf b;
    struct stat st;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct timespec times[2] = {now, clock_timespec(clock_ns(now) + ahead_ms * 1000000)};
    assert_int_equal(utimensat(s->fd, "f", times, 0), 0);
    int64_t start = clock_monotonic_ms();
    buf_init(&b, MAX_BYTES);
    assert_int_equal(readfile(s->fd, "f", SAFEPATH_NO_LINKS, MAX_BYTES, &b, &st, NULL), 0);
    buf_release(&b);
    return clock_monotonic_ms() - start;
}

/* On a busy machine some reads take long: not all of them do. */
static void expect_read_within(const struct scratch *s, int64_t ahead_ms, int limit_ms)
{
    int tries = 20;
    while (read_ms(s, ahead_ms) >= limit_ms)
        assert_true(--tries > 0);
}

static void test_future_mtime(void **state)
{
    const struct scratch *s = *state;
    assert_int_equal(scratch_write(s, "f", "x"), 0);
    expect_read_within(s, 900, 500);
    expect_read_within(s, 100000, 500);
}

struct writer {
    const struct scratch *s;
    atomic_int stop;
    int grows;
    int pause_ms;
};

/* Rewrites a file of 4096 equal bytes with other equal bytes, or lets it grow, until told to stop. */
static void *keep_writing(void *arg)
{
    struct writer *w = arg;
    char block[4096];
    int fd = openat(w->s->fd, "f", O_WRONLY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && !atomic_load(&w->stop); i++) {
        memset(block, 'a' + i % 26, sizeof block);
        if (pwrite(fd, block, sizeof block, w->grows ? i % 64 * 4096 : 0) < 0)
            break;
        struct timespec ts = clock_timespec(w->pause_ms * INT64_C(1000000));
        nanosleep(&ts, NULL);
    }
    close(fd);
    return NULL;
}

static void make_block(const struct scratch *s)
{
    char text[4097];
    memset(text, 'z', 4096);
    text[4096] = '\0';
    assert_int_equal(scratch_write(s, "f", text), 0);
}

#define BUSY_WITHIN_MS 30000

static void test_busy(void **state)
{
    const struct scratch *s = *state;
    struct buf b;
    struct stat st;
    struct error e = {0};
    struct writer w = {.s = s, .grows = 1};
    pthread_t thread;
    make_block(s);
    buf_init(&b, MAX_BYTES);
    assert_int_equal(pthread_create(&thread, NULL, keep_writing, &w), 0);

    /* On a busy machine the writer may rest for as long as a whole read takes, now and then. */
    int busy = 0;
    int64_t deadline_ms = clock_monotonic_ms() + BUSY_WITHIN_MS;
    while (busy < 3 && clock_left_ms(deadline_ms)) {
        buf_reset(&b);
        assert_int_equal(buf_addstr(&b, "kept"), 0);
        int r = readfile(s->fd, "f", SAFEPATH_NO_LINKS, MAX_BYTES, &b, &st, &e);
        busy += r == -EBUSY;
        assert_true(r == 0 || r == -EBUSY);
        if (r == -EBUSY) {
            assert_string_equal(b.data, "kept");
            assert_non_null(strstr(e.text, "still being written"));
        } else {
            assert_int_equal(b.len, 4 + st.st_size);
        }
    }
    atomic_store(&w.stop, 1);
    pthread_join(thread, NULL);
    buf_release(&b);
    assert_int_equal(busy, 3);
}

/* A file rewritten in place every few ms: each read has the bytes of one write alone. */
static void test_never_torn(void **state)
{
    const struct scratch *s = *state;
    struct buf b;
    struct stat st;
    struct writer w = {.s = s, .pause_ms = 30};
    pthread_t thread;
    make_block(s);
    buf_init(&b, MAX_BYTES);
    assert_int_equal(pthread_create(&thread, NULL, keep_writing, &w), 0);

    for (int i = 0; i < 50; i++) {
        buf_reset(&b);
        int r = readfile(s->fd, "f", SAFEPATH_NO_LINKS, MAX_BYTES, &b, &st, NULL);
        assert_true(r == 0 || r == -EBUSY);
        for (size_t at = 1; r == 0 && at < b.len; at++)
            assert_int_equal(b.data[at], b.data[0]);
    }
    atomic_store(&w.stop, 1);
    pthread_join(thread, NULL);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_permissions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_racily_clean, setup, teardown),
        cmocka_unit_test_setup_teardown(test_future_mtime, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_torn, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
