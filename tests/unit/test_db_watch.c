#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "client/db_watch.h"

#define LONG_MS  60000
#define SHORT_MS 20

/* Ends the program if a blocked read is not freed. */
#define ALARM_S 20

struct pair {
    struct db_watch *watch;
    int ours, theirs, slot;
};

static int setup(void **state)
{
    static struct pair p;
    int fds[2];
    alarm(ALARM_S);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 || db_watch_start(&p.watch, 2) < 0)
        return -1;
    p.ours = fds[0];
    p.theirs = fds[1];
    p.slot = db_watch_take(p.watch, p.ours);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    db_watch_give(p->watch, p->slot);
    db_watch_stop(p->watch);
    close(p->ours);
    close(p->theirs);
    alarm(0);
    return 0;
}

static void test_frees_a_blocked_read(void **state)
{
    struct pair *p = *state;
    char byte;
    db_watch_arm(p->watch, p->slot, clock_monotonic_ms() + SHORT_MS);
    assert_int_equal(recv(p->ours, &byte, 1, 0), 0);
    assert_int_equal(db_watch_disarm(p->watch, p->slot), 1);
}

static void test_a_nearer_deadline_counts(void **state)
{
    struct pair *p = *state;
    char byte;
    int other = db_watch_take(p->watch, p->theirs);
    db_watch_arm(p->watch, other, clock_monotonic_ms() + LONG_MS);
    db_watch_arm(p->watch, p->slot, clock_monotonic_ms() + SHORT_MS);
    assert_int_equal(recv(p->ours, &byte, 1, 0), 0);
    assert_int_equal(db_watch_disarm(p->watch, other), 0);
    db_watch_give(p->watch, other);
}

static void test_disarmed_in_time(void **state)
{
    struct pair *p = *state;
    char byte = 'x', got = 0;
    db_watch_arm(p->watch, p->slot, clock_monotonic_ms() + LONG_MS);
    assert_int_equal(db_watch_disarm(p->watch, p->slot), 0);
    assert_int_equal(send(p->theirs, &byte, 1, 0), 1);
    assert_int_equal(recv(p->ours, &got, 1, 0), 1);
    assert_int_equal(got, 'x');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_frees_a_blocked_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_nearer_deadline_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disarmed_in_time, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
