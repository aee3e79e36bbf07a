/* How long a read waits for the disk and for the database, by the clock of these limits alone. */
#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/fetch_flight.h"
#include "tier/tier_disk.h"

#define MINUTE_MS 60000

static const struct image_key key = {"media", "a.jpg"};

struct bench {
    struct store store;
    struct store_fetch *f;
    sem_t taken, go_on;
    struct fetch_flight *flight; /* that the disk thread has */
    int told;                    /* what the waiter was told; 1: nothing yet */
};

/* A disk that holds each flight until it may go on, and has no file. */
static void run_disk(void *arg, struct workers *w)
{
    struct bench *b = arg;
    struct error none = {.code = -ENOENT};
    while ((b->flight = workers_take(w))) {
        sem_post(&b->taken);
        while (sem_wait(&b->go_on) < 0)
            ;
        flight_land(b->f, b->flight, NULL, NULL, &none);
    }
}

static int setup(void **state)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    b.store.disk = tier_disk_new(NULL, 0, 1, 1);
    b.f = b.store.fetch = store_fetch_new(&b.store);
    sem_init(&b.taken, 0, 0);
    sem_init(&b.go_on, 0, 0);
    b.f->stopped = 0;
    *state = &b;
    return workers_start(&b.f->disk, 1, 4, run_disk, &b);
}

static int teardown(void **state)
{
    struct bench *b = *state;
    sem_post(&b->go_on);
    workers_finish(b->f->disk, NULL, NULL);
    store_fetch_free(b->f);
    tier_disk_free(b->store.disk);
    return 0;
}

static void landed(void *arg, struct image *image, const char *tier, const struct error *why)
{
    struct bench *b = arg;
    (void)tier;
    assert_null(image);
    b->told = why->code;
}

static void begin(struct bench *b)
{
    b->told = 1;
    assert_int_equal(store_fetch(&b->store, &key, landed, b), 0);
    sem_wait(&b->taken);
}

static void test_a_slow_disk_is_waited_for_and_a_hung_one_is_not(void **state)
{
    struct bench *b = *state;
    begin(b);
    flight_time_passes(b->f, MINUTE_MS - 1);
    assert_int_equal(b->told, 1);
    flight_time_passes(b->f, 1);
    assert_int_equal(b->told, -ETIMEDOUT);
}

static void test_a_disk_that_does_something_is_waited_for_up_to_ten_minutes(void **state)
{
    struct bench *b = *state;
    begin(b);
    for (int minute = 1; minute < 10; minute++) {
        flight_disk_answers(b->f);
        flight_time_passes(b->f, MINUTE_MS - 1);
        assert_int_equal(b->told, 1);
    }
    flight_disk_answers(b->f);
    flight_time_passes(b->f, MINUTE_MS);
    assert_int_equal(b->told, -ETIMEDOUT);
}

static void test_the_limit_of_the_database_begins_when_the_disk_is_done(void **state)
{
    struct bench *b = *state;
    begin(b);
    flight_time_passes(b->f, MINUTE_MS - 1);
    flight_enter(b->f, b->flight, FLIGHT_SOURCE);
    flight_time_passes(b->f, 1499);
    assert_int_equal(b->told, 1);
    flight_time_passes(b->f, 1);
    assert_int_equal(b->told, -ETIMEDOUT);
}

static void test_who_waits_while_others_are_answered_is_told_after_twenty_seconds(void **state)
{
    struct bench *b = *state;
    begin(b);
    flight_enter(b->f, b->flight, FLIGHT_SOURCE);
    for (int second = 0; second < 19; second++) {
        flight_time_passes(b->f, 1000);
        b->f->db_answered_ms = b->f->clock_ms;
        assert_int_equal(b->told, 1);
    }
    flight_time_passes(b->f, 1000);
    assert_int_equal(b->told, -ETIMEDOUT);
}

static void test_a_database_is_not_at_fault_while_its_threads_wait_for_the_disk(void **state)
{
    struct bench *b = *state;
    begin(b);
    flight_enter(b->f, b->flight, FLIGHT_SOURCE);
    b->f->fills = 1;
    flight_time_passes(b->f, 19000);
    assert_int_equal(b->told, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_slow_disk_is_waited_for_and_a_hung_one_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_disk_that_does_something_is_waited_for_up_to_ten_minutes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_limit_of_the_database_begins_when_the_disk_is_done, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_waits_while_others_are_answered_is_told_after_twenty_seconds, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_database_is_not_at_fault_while_its_threads_wait_for_the_disk, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
