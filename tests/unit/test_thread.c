#include "base/thread.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

#define LONG_MS 60000 /* far more than any of this takes */

struct owner {
    struct thread thread; /* its lock is over what follows */
    int turns;            /* how often the thread went around */
    int busy, let_go;     /* it holds on until it is let go, whatever it is asked */
};

static void start(struct owner *o, thread_fn *run)
{
    thread_init(&o->thread, LOCK_workers);
    assert_int_equal(thread_start(&o->thread, "unit-test", run, o), 0);
}

static void end(struct owner *o)
{
    assert_int_equal(thread_stop(&o->thread, clock_monotonic_ms() + LONG_MS), 0);
    thread_destroy(&o->thread);
}

static void add_turn(struct owner *o)
{
    lock_take(&o->thread.lock);
    o->turns++;
    pthread_cond_broadcast(&o->thread.changed);
    lock_give(&o->thread.lock);
}

static void wait_for_turns(struct owner *o, int turns)
{
    lock_take(&o->thread.lock);
    while (o->turns < turns)
        pthread_cond_wait(&o->thread.changed, &o->thread.lock.mutex);
    lock_give(&o->thread.lock);
}

static void run_when_woken(void *arg)
{
    struct owner *o = arg;
    while (thread_wait(&o->thread, THREAD_NEVER))
        add_turn(o);
}

static void run_at_times(void *arg)
{
    struct owner *o = arg;
    while (thread_wait(&o->thread, clock_monotonic_ms() + 1))
        add_turn(o);
}

static void run_until_let_go(void *arg)
{
    struct owner *o = arg;
    lock_take(&o->thread.lock);
    o->busy = 1;
    while (!o->let_go)
        pthread_cond_wait(&o->thread.changed, &o->thread.lock.mutex);
    lock_give(&o->thread.lock);
}

static void test_each_wake_is_a_turn(void **state)
{
    struct owner o = {0};
    (void)state;
    start(&o, run_when_woken);
    for (int i = 1; i <= 100; i++) {
        thread_wake(&o.thread);
        wait_for_turns(&o, i);
    }
    end(&o);
    assert_int_equal(o.turns, 100);
}

static void test_a_wake_before_the_wait_is_not_lost(void **state)
{
    struct owner o = {0};
    (void)state;
    thread_init(&o.thread, LOCK_workers);
    thread_wake(&o.thread);
    assert_int_equal(thread_start(&o.thread, "unit-test", run_when_woken, &o), 0);
    wait_for_turns(&o, 1);
    end(&o);
}

static void test_time_passes(void **state)
{
    struct owner o = {0};
    (void)state;
    start(&o, run_at_times);
    wait_for_turns(&o, 3);
    end(&o);
}

static void test_a_time_that_has_passed_is_not_waited_for(void **state)
{
    struct thread t;
    (void)state;
    thread_init(&t, LOCK_workers);
    assert_true(thread_wait(&t, 0));
    assert_true(thread_wait(&t, clock_monotonic_ms() - 1000));
    t.stopping = 1;
    assert_false(thread_wait(&t, THREAD_NEVER));
    assert_true(thread_is_stopping(&t));
    thread_destroy(&t);
}

static void test_one_that_was_not_started_has_ended(void **state)
{
    struct thread t;
    (void)state;
    thread_init(&t, LOCK_workers);
    assert_int_equal(thread_stop(&t, 0), 0);
    thread_destroy(&t);
}

static void test_a_stop_that_takes_too_long_is_called_again(void **state)
{
    struct owner o = {0};
    (void)state;
    start(&o, run_until_let_go);
    assert_int_equal(thread_stop(&o.thread, clock_monotonic_ms() + 20), -ETIMEDOUT);
    assert_true(thread_is_stopping(&o.thread));
    lock_take(&o.thread.lock);
    o.let_go = 1;
    pthread_cond_broadcast(&o.thread.changed);
    lock_give(&o.thread.lock);
    assert_int_equal(thread_stop(&o.thread, clock_monotonic_ms() + LONG_MS), 0);
    assert_int_equal(thread_stop(&o.thread, 0), 0); /* once more does nothing */
    assert_int_equal(o.busy, 1);
    thread_destroy(&o.thread);
}

static void test_it_has_a_name(void **state)
{
    struct owner o = {0};
    char name[16];
    (void)state;
    start(&o, run_when_woken);
    assert_int_equal(pthread_getname_np(o.thread.id, name, sizeof name), 0);
    assert_string_equal(name, "unit-test");
    end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_wake_is_a_turn),
        cmocka_unit_test(test_a_wake_before_the_wait_is_not_lost),
        cmocka_unit_test(test_time_passes),
        cmocka_unit_test(test_a_time_that_has_passed_is_not_waited_for),
        cmocka_unit_test(test_one_that_was_not_started_has_ended),
        cmocka_unit_test(test_a_stop_that_takes_too_long_is_called_again),
        cmocka_unit_test(test_it_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
