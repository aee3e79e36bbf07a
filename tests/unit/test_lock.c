/* Locks are taken in the order of base/locks.def: a build with DEVELOPER=1 ends the program otherwise. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/lock.h"

static struct lock above = LOCK_INIT(reads), below = LOCK_INIT(inflight), beside = LOCK_INIT(inflight);

static void in_order(void)
{
    lock_take(&above);
    lock_take(&below);
    lock_give(&above); /* in any order */
    lock_give(&below);
    lock_take(&below);
    lock_give(&below);
    lock_take(&above);
    lock_give(&above);
}

static void out_of_order(void)
{
    lock_take(&below);
    lock_take(&above);
}

static void two_of_one_name(void)
{
    lock_take(&below);
    lock_take(&beside);
}

static void another_kind_out_of_order(void)
{
    lock_note_taken(LOCK_inflight);
    lock_take(&above);
}

/* How a child ends that does this. */
static int status_of(void (*act)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        act();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_locks_in_order(void **state)
{
    (void)state;
    assert_int_equal(status_of(in_order), 0);
}

#ifdef DEVELOPER
static void test_locks_out_of_order_end_the_program(void **state)
{
    static void (*const acts[])(void) = {out_of_order, two_of_one_name, another_kind_out_of_order};
    (void)state;
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        int status = status_of(acts[i]);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_locks_in_order),
#ifdef DEVELOPER
        cmocka_unit_test(test_locks_out_of_order_end_the_program),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
