#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/workers.h"

#define ITEMS 1000

struct tally {
    atomic_int seen[ITEMS];
    atomic_int threads;
};

static int items[ITEMS];

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static void count(void *arg, void *item)
{
    struct tally *t = arg;
    atomic_fetch_add(&t->seen[(int *)item - items], 1);
}

static void count_all(void *arg, struct workers *w)
{
    struct tally *t = arg;
    void *item;
    atomic_fetch_add(&t->threads, 1);
    while ((item = workers_take(w)))
        count(t, item);
}

static void count_some(void *arg, struct workers *w)
{
    struct tally *t = arg;
    void *taken[7];
    size_t n;
    atomic_fetch_add(&t->threads, 1);
    while ((n = workers_take_some(w, taken, 7))) {
        assert_in_range(n, 1, 7);
        for (size_t i = 0; i < n; i++)
            count(t, taken[i]);
    }
}

static int total(struct tally *t)
{
    int sum = 0;
    for (int i = 0; i < ITEMS; i++)
        sum += atomic_load(&t->seen[i]);
    return sum;
}

static void never(void *arg, void *item)
{
    (void)arg;
    (void)item;
    fail();
}

static void each_once(workers_fn *fn, size_t queue_max)
{
    for (int threads = 1; threads <= 8; threads *= 2) {
        struct tally t = {0};
        struct workers *w;
        assert_int_equal(workers_start(&w, "test", threads, queue_max, fn, &t), 0);
        for (int i = 0; i < ITEMS; i++)
            assert_int_equal(workers_push(w, &items[i]), 0);
        workers_finish(w, never, NULL);
        assert_int_equal(atomic_load(&t.threads), threads);
        for (int i = 0; i < ITEMS; i++)
            assert_int_equal(atomic_load(&t.seen[i]), 1);
    }
}

static void test_each_once(void **state)
{
    (void)state;
    each_once(count_all, 3);
    each_once(count_some, 3);
    each_once(count_some, 100);
}

static void test_no_items(void **state)
{
    (void)state;
    struct tally t = {0};
    struct workers *w;
    assert_int_equal(workers_start(&w, "test", 4, 1, count_all, &t), 0);
    workers_finish(w, NULL, NULL);
    assert_int_equal(total(&t), 0);
}

/* The tests from here on have no threads in the pool: they take the items themselves, when it suits them. */
struct pusher {
    pthread_t thread;
    struct workers *w;
    int first, count;
    atomic_int pushed;
    int result; /* of the last push */
};

static void *push_all(void *arg)
{
    struct pusher *p = arg;
    for (int i = 0; i < p->count && p->result == 0; i++) {
        p->result = workers_push(p->w, &items[p->first + i]);
        atomic_fetch_add(&p->pushed, p->result == 0);
    }
    return NULL;
}

static void push_in_background(struct pusher *p, struct workers *w, int how_many)
{
    p->w = w;
    p->count = how_many;
    assert_int_equal(pthread_create(&p->thread, NULL, push_all, p), 0);
}

static void test_bounded(void **state)
{
    (void)state;
    struct pusher p = {0};
    struct workers *w;
    assert_int_equal(workers_start(&w, "test", 0, 5, count_all, NULL), 0);
    assert_null(workers_take_now(w));
    push_in_background(&p, w, 8);
    while (atomic_load(&p.pushed) < 5)
        pause_ms(1);
    pause_ms(20);
    assert_int_equal(atomic_load(&p.pushed), 5);
    for (int i = 0; i < 8; i++) /* in the order they came; each one taken lets another in */
        assert_ptr_equal(workers_take(w), &items[i]);
    pthread_join(p.thread, NULL);
    assert_int_equal(p.result, 0);
    assert_null(workers_take_now(w));
    workers_finish(w, never, NULL);
}

static void test_stop(void **state)
{
    (void)state;
    struct tally dropped = {0};
    struct pusher p = {0};
    struct workers *w;
    assert_int_equal(workers_start(&w, "test", 0, 3, count_all, NULL), 0);
    push_in_background(&p, w, 4);
    while (atomic_load(&p.pushed) < 3)
        pause_ms(1);
    workers_stop(w);
    pthread_join(p.thread, NULL);
    assert_int_equal(p.result, -EPIPE);
    assert_int_equal(atomic_load(&p.pushed), 3);
    assert_int_equal(workers_push(w, &items[9]), -EPIPE);
    assert_null(workers_take(w));
    assert_null(workers_take_now(w));

    workers_finish(w, count, &dropped);
    assert_int_equal(total(&dropped), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(atomic_load(&dropped.seen[i]), 1);
}

/* A worker that finds a reason to stop: nothing is lost or done twice, whoever has it in the end. */
static void stop_after_ten(void *arg, struct workers *w)
{
    struct tally *t = arg;
    void *item;
    while ((item = workers_take(w))) {
        count(t, item);
        if (total(t) >= 10)
            workers_stop(w);
    }
}

static void test_stop_from_worker(void **state)
{
    (void)state;
    struct tally t = {0};
    struct workers *w;
    int pushed = 0;
    assert_int_equal(workers_start(&w, "test", 4, 16, stop_after_ten, &t), 0);
    while (pushed < ITEMS && workers_push(w, &items[pushed]) == 0)
        pushed++;
    assert_in_range(pushed, 10, 10 + 4 + 16);
    workers_finish(w, count, &t);
    assert_int_equal(total(&t), pushed);
    for (int i = 0; i < pushed; i++)
        assert_int_equal(atomic_load(&t.seen[i]), 1);
}

/* Workers that leave early: what they left goes to drop, also when the ring has wrapped. */
static void take_two(void *arg, struct workers *w)
{
    for (int i = 0; i < 2; i++)
        count(arg, workers_take(w));
}

static void test_drop(void **state)
{
    (void)state;
    struct tally taken = {0}, dropped = {0};
    struct workers *w;
    assert_int_equal(workers_start(&w, "test", 1, 4, take_two, &taken), 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(workers_push(w, &items[i]), 0);
    workers_finish(w, count, &dropped);
    assert_int_equal(total(&taken), 2);
    assert_int_equal(total(&dropped), 4);
    for (int i = 0; i < 6; i++)
        assert_int_equal(atomic_load(&taken.seen[i]), i < 2);

    assert_int_equal(workers_start(&w, "test", 0, 4, take_two, NULL), 0);
    assert_int_equal(workers_push(w, &items[0]), 0);
    workers_finish(w, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_once), cmocka_unit_test(test_no_items),         cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_stop),      cmocka_unit_test(test_stop_from_worker), cmocka_unit_test(test_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
