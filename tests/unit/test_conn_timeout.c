/* When a connection is shut down: by what its peer or we have to do next, and how much of it is done. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http/conn_timeout.h"
#include "scratch.h"

#define LEN(a) (sizeof(a) / sizeof *(a))

struct fixture {
    struct conn_timeout *timeouts;
    struct conn_timer *timer;
    int ours, peer;
};

static int setup(void **state)
{
    static struct fixture f;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 || conn_timeout_start(&f.timeouts) < 0)
        return -1;
    f.ours = ends[0];
    f.peer = ends[1];
    f.timer = conn_timeout_add(f.timeouts, f.ours);
    *state = &f;
    return f.timer ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    conn_timeout_remove(f->timeouts, f->timer);
    conn_timeout_stop(f->timeouts);
    close(f->ours);
    if (f->peer >= 0)
        close(f->peer);
    return 0;
}

static int is_shut(const struct fixture *f)
{
    char byte;
    ssize_t n = recv(f->peer, &byte, 1, MSG_DONTWAIT);
    assert_true(n == 0 || (n < 0 && errno == EAGAIN));
    return n == 0;
}

static void head(struct fixture *f)
{
    conn_timeout_head(f->timer);
}

static void first_head(struct fixture *f)
{
    conn_timeout_remove(f->timeouts, f->timer);
    f->timer = conn_timeout_add(f->timeouts, f->ours);
}

static void body(struct fixture *f)
{
    conn_timeout_body(f->timer);
}

/* In three parts, of which none starts the time anew. */
static void received_80_kb(struct fixture *f)
{
    conn_timeout_body(f->timer);
    conn_timeout_received(f->timer, 10000);
    conn_timeout_received(f->timer, 0);
    conn_timeout_received(f->timer, 70000);
}

static void next_body(struct fixture *f)
{
    received_80_kb(f);
    conn_timeout_none(f->timer);
    conn_timeout_body(f->timer);
}

static void answer(struct fixture *f)
{
    conn_timeout_answer(f->timer, 0);
}

static void answer_of_800_kb(struct fixture *f)
{
    conn_timeout_answer(f->timer, 800000);
}

static void answered(struct fixture *f)
{
    answer_of_800_kb(f);
    conn_timeout_head(f->timer);
}

static const struct {
    const char *name;
    void (*happens)(struct fixture *f);
    int64_t limit_ms;
} limits[] = {
    {"a connection's first head", first_head, 20000},  {"another head on it", head, 75000},
    {"a body of which nothing has come", body, 30000}, {"a body of which 80 kB have come", received_80_kb, 40000},
    {"another body on it", next_body, 30000},          {"a short answer", answer, 30000},
    {"an answer of 800 kB", answer_of_800_kb, 130000}, {"a head after an answer", answered, 75000},
};

static void test_time_limits(void **state)
{
    for (size_t i = 0; i < LEN(limits); i++) {
        assert_int_equal(setup(state), 0);
        struct fixture *f = *state;
        int64_t before_ms = clock_monotonic_ms();
        limits[i].happens(f);
        int64_t after_ms = clock_monotonic_ms();
        conn_timeout_check(f->timeouts, before_ms + limits[i].limit_ms);
        if (is_shut(f))
            fail_msg("%s: shut down before %lld ms", limits[i].name, (long long)limits[i].limit_ms);
        conn_timeout_check(f->timeouts, after_ms + limits[i].limit_ms + 1);
        if (!is_shut(f))
            fail_msg("%s: open after %lld ms", limits[i].name, (long long)limits[i].limit_ms);
        teardown(state);
    }
}

static void test_nobody_is_late_while_we_are_busy(void **state)
{
    struct fixture *f = *state;
    conn_timeout_body(f->timer);
    conn_timeout_none(f->timer);
    conn_timeout_check(f->timeouts, clock_monotonic_ms() + INT64_C(60000000));
    assert_false(is_shut(f));
}

static void test_a_peer_that_has_left_is_found_by_the_second_check(void **state)
{
    struct fixture *f = *state;
    char byte;
    shutdown(f->peer, SHUT_WR);
    conn_timeout_check(f->timeouts, clock_monotonic_ms());
    conn_timeout_check(f->timeouts, clock_monotonic_ms());
    assert_int_equal(recv(f->peer, &byte, 1, 0), 0);
}

static void test_a_peer_that_has_sent_all_may_close_its_side(void **state)
{
    struct fixture *f = *state;
    conn_timeout_answer(f->timer, 10);
    shutdown(f->peer, SHUT_WR);
    for (int i = 0; i < 3; i++)
        conn_timeout_check(f->timeouts, clock_monotonic_ms());
    assert_false(is_shut(f));
}

/* Its descriptor: a file of 100 bytes, of which all are to be sent. */
static int send_file(struct fixture *f, struct scratch *folder)
{
    assert_int_equal(scratch_make(folder), 0);
    int fd = openat(folder->fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(ftruncate(fd, 100), 0);
    conn_timeout_answer(f->timer, 100);
    conn_timeout_file(f->timer, fd, 100);
    return fd;
}

static void test_a_file_that_becomes_shorter(void **state)
{
    struct fixture *f = *state;
    struct scratch folder;
    int fd = send_file(f, &folder);
    conn_timeout_check(f->timeouts, clock_monotonic_ms());
    assert_false(is_shut(f));
    assert_int_equal(ftruncate(fd, 99), 0);
    conn_timeout_check(f->timeouts, clock_monotonic_ms());
    assert_true(is_shut(f));
    close(fd);
    scratch_remove(&folder);
}

static void test_a_file_that_was_sent_may_become_shorter(void **state)
{
    struct fixture *f = *state;
    struct scratch folder;
    int fd = send_file(f, &folder);
    conn_timeout_head(f->timer);
    assert_int_equal(ftruncate(fd, 0), 0);
    conn_timeout_check(f->timeouts, clock_monotonic_ms());
    assert_false(is_shut(f));
    close(fd);
    scratch_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_limits),
        cmocka_unit_test_setup_teardown(test_nobody_is_late_while_we_are_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_peer_that_has_left_is_found_by_the_second_check, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_peer_that_has_sent_all_may_close_its_side, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_becomes_shorter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_was_sent_may_become_shorter, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
