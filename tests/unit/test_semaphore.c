#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/semaphore.h"

#define THREADS 8
#define MOST    3
#define ROUNDS  500

struct table {
    struct semaphore *turns;
    atomic_int stopped, have, done, too_many;
};

static void *take_and_give(void *arg)
{
    struct table *t = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (semaphore_acquire(t->turns, MOST, &t->stopped) < 0)
            return NULL;
        if (atomic_fetch_add(&t->have, 1) >= MOST)
            atomic_store(&t->too_many, 1);
        sched_yield();
        atomic_fetch_sub(&t->have, 1);
        semaphore_release(t->turns);
    }
    atomic_fetch_add(&t->done, 1);
    return NULL;
}

static void test_so_many_at_a_time(void **state)
{
    struct table t = {.turns = semaphore_new()};
    pthread_t threads[THREADS];
    (void)state;
    assert_non_null(t.turns);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &t), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(t.done, THREADS);
    assert_int_equal(t.too_many, 0);
    assert_int_equal(semaphore_contended(t.turns), 0);
    semaphore_free(t.turns);
}

static void *take_one(void *arg)
{
    struct table *t = arg;
    if (semaphore_acquire(t->turns, 1, &t->stopped) == 0) {
        atomic_fetch_add(&t->done, 1);
        semaphore_release(t->turns);
    }
    return NULL;
}

/* Whoever gives it back and asks again is behind the one that waited. */
static void test_in_turn(void **state)
{
    struct table t = {.turns = semaphore_new()};
    pthread_t other;
    (void)state;
    assert_int_equal(semaphore_acquire(t.turns, 1, &t.stopped), 0);
    assert_int_equal(semaphore_contended(t.turns), 0);
    assert_int_equal(pthread_create(&other, NULL, take_one, &t), 0);
    while (!semaphore_contended(t.turns))
        sched_yield();
    semaphore_release(t.turns);
    assert_int_equal(semaphore_acquire(t.turns, 1, &t.stopped), 0);
    assert_int_equal(t.done, 1);
    semaphore_release(t.turns);
    pthread_join(other, NULL);
    semaphore_free(t.turns);
}

static void test_stopped(void **state)
{
    struct table t = {.turns = semaphore_new()};
    pthread_t other;
    (void)state;
    assert_int_equal(semaphore_acquire(t.turns, 1, &t.stopped), 0);
    assert_int_equal(pthread_create(&other, NULL, take_one, &t), 0);
    while (!semaphore_contended(t.turns))
        sched_yield();
    atomic_store(&t.stopped, 1);
    pthread_join(other, NULL);
    assert_int_equal(t.done, 0);
    assert_int_equal(semaphore_contended(t.turns), 0);
    assert_int_equal(semaphore_acquire(t.turns, 1, &t.stopped), -ECANCELED);
    semaphore_release(t.turns);
    semaphore_free(t.turns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_so_many_at_a_time),
        cmocka_unit_test(test_in_turn),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
