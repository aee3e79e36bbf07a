/* Reads that share: who joins which, what each is told, and how long he waits, by the clock of the limits alone. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/coalesce.h"

#define WAITING 1 /* what a reader was told so far: nothing */
#define FLIGHTS 4
#define TAKEN_S 20

static const struct image_key key_a = {"media", "a.jpg"}, key_b = {"media", "b.jpg"};

enum { LIMIT_DISK, LIMIT_SOURCE, LIMITS };

static const struct coalesce_limit limits[LIMITS] = {
    [LIMIT_DISK] = {60000, 600000, "disk"},
    [LIMIT_SOURCE] = {1500, 20000, "source"},
};

struct reader {
    int told; /* 0: an image */
    const char *status;
    struct error why;
};

/* An engine of two stages whose threads only take the flights: the test is what moves them. */
struct bench {
    struct coalesce c;
    struct coalesce_stage stages[2];
    struct coalesce_clock clocks[LIMITS];
    sem_t taken, released;
    struct flight *flights[FLIGHTS]; /* in the order in which they were taken */
    int taken_count, released_count, late[LIMITS];
    struct reader readers[3];
};

static void take(void *arg, void **flights, int count)
{
    struct bench *b = arg;
    assert_int_equal(count, 1);
    b->flights[b->taken_count++] = flights[0];
    sem_post(&b->taken);
}

static void note_release(struct flight *flight)
{
    ((struct bench *)flight->engine->arg)->released_count++;
}

static void refuse(struct flight *flight, const struct error *why)
{
    coalesce_finish(flight, NULL, NULL, why);
}

static void note_late(void *arg, int limit)
{
    ((struct bench *)arg)->late[limit]++;
}

static const struct coalesce_ops ops = {
    .flight_size = sizeof(struct flight), .release = note_release, .refuse = refuse, .late = note_late};

static int setup(void **state)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    sem_init(&b.taken, 0, 0);
    for (int i = 0; i < 2; i++)
        b.stages[i] = (struct coalesce_stage){.name = "test", .threads = 1, .batch_max = 1, .limit = i, .run = take};
    b.c = (struct coalesce){.ops = &ops,
                            .arg = &b,
                            .stages_len = 2,
                            .stages = b.stages,
                            .limits_len = LIMITS,
                            .limits = limits,
                            .clocks = b.clocks};
    coalesce_init(&b.c);
    *state = &b;
    return coalesce_start(&b.c, COALESCE_NO_LIMITS); /* no thread counts the time: the test does */
}

static int teardown(void **state)
{
    struct bench *b = *state;
    (void)!coalesce_stop(&b->c, clock_monotonic_ms()); /* a test that failed leaves flights */
    coalesce_end(&b->c);
    coalesce_destroy(&b->c);
    sem_destroy(&b->taken);
    return 0;
}

static void note_told(void *arg, struct image *image, const struct store_hit *hit, const struct error *why)
{
    struct reader *reader = arg;
    assert_int_equal(reader->told, WAITING); /* once */
    reader->told = image ? 0 : why->code;
    reader->status = hit ? hit->status : NULL;
    if (why)
        reader->why = *why;
    image_unref(image);
}

static void read_image(struct bench *b, int reader, const struct image_key *key)
{
    b->readers[reader].told = WAITING;
    assert_int_equal(coalesce_read(&b->c, key, note_told, &b->readers[reader]), 0);
}

/* The next flight that came to a stage. */
static struct flight *taken(struct bench *b)
{
    struct timespec until;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
    until.tv_sec += TAKEN_S;
    assert_int_equal(sem_timedwait(&b->taken, &until), 0);
    return b->flights[b->taken_count - 1];
}

/* A flight that the first stage is done with. */
static struct flight *closed(struct bench *b, int reader)
{
    read_image(b, reader, &key_a);
    struct flight *flight = taken(b);
    coalesce_close(flight);
    return flight;
}

static struct image *image_of(const struct image_key *key)
{
    struct image_meta meta = {.key = *key, .mime = "image/png", .size = 1};
    return image_new(&meta);
}

static void finish_absent(struct flight *flight)
{
    struct error none = {.code = -ENOENT};
    coalesce_finish(flight, NULL, NULL, &none);
}

static void finish_with(struct flight *flight, const char *status)
{
    const struct store_hit hit = {"disk", status};
    struct image *image = image_of(&flight->key);
    coalesce_finish(flight, image, &hit, NULL);
    image_unref(image);
}

static struct image *none_is_filling(struct flight *flight)
{
    (void)flight;
    return NULL;
}

static struct image *one_is_filling(struct flight *flight)
{
    return image_of(&flight->key);
}

/* Joining */

static void test_readers_of_one_image_share_a_flight(void **state)
{
    struct bench *b = *state;
    read_image(b, 0, &key_a);
    struct flight *flight = taken(b);
    read_image(b, 1, &key_a);
    finish_with(flight, "HIT");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(b->readers[i].told, 0);
        assert_string_equal(b->readers[i].status, "HIT");
    }
    assert_int_equal(b->taken_count, 1);
    assert_int_equal(b->released_count, 1);
}

static void test_readers_of_two_images_do_not(void **state)
{
    struct bench *b = *state;
    read_image(b, 0, &key_a);
    struct flight *a = taken(b);
    read_image(b, 1, &key_b);
    struct flight *other = taken(b);
    assert_string_equal(a->key.path, "a.jpg");
    assert_string_equal(other->key.path, "b.jpg");
    finish_absent(a);
    assert_int_equal(b->readers[0].told, -ENOENT);
    assert_int_equal(b->readers[1].told, WAITING);
    finish_absent(other);
}

/* What makes a flight CLOSED, so that the next reader begins another one. */
static void by_its_owner(struct bench *b, struct flight *flight)
{
    (void)b;
    coalesce_close(flight);
}

static void by_forgetting(struct bench *b, struct flight *flight)
{
    coalesce_forget(&b->c, &flight->key);
}

static int is_meant(const struct image_key *key, const char *pattern)
{
    return strcmp(key->path, pattern) == 0;
}

static void by_a_pattern(struct bench *b, struct flight *flight)
{
    coalesce_forget_matching(&b->c, is_meant, "no.jpg");
    assert_false(coalesce_is_closed(flight));
    coalesce_forget_matching(&b->c, is_meant, flight->key.path);
}

static void test_nobody_joins_a_closed_flight(void **state)
{
    static void (*const ways[])(struct bench * b, struct flight * flight) = {by_its_owner, by_forgetting, by_a_pattern};
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        b->taken_count = 0;
        read_image(b, 0, &key_a);
        struct flight *old = taken(b);
        ways[i](b, old);
        assert_true(coalesce_is_closed(old));
        read_image(b, 1, &key_a);
        struct flight *new = taken(b);
        assert_ptr_not_equal(old, new);
        finish_with(old, "OLD");
        assert_string_equal(b->readers[0].status, "OLD");
        assert_int_equal(b->readers[1].told, WAITING);
        finish_with(new, "NEW");
        assert_string_equal(b->readers[1].status, "NEW");
    }
}

static void test_an_answer_is_given_until_the_end(void **state)
{
    const struct store_hit miss = {"origin", "MISS"};
    struct bench *b = *state;
    struct image *image = image_of(&key_a);
    read_image(b, 0, &key_a);
    struct flight *flight = taken(b);
    coalesce_answer(flight, image, &miss);
    image_unref(image);
    assert_string_equal(b->readers[0].status, "MISS");
    read_image(b, 1, &key_a);
    assert_int_equal(b->readers[1].told, 0);
    assert_string_equal(b->readers[1].status, "HIT");
    coalesce_finish(flight, NULL, NULL, NULL);
    assert_int_equal(b->taken_count, 1);
}

/* Merging */

static void test_flights_behind_the_first_stage_become_one(void **state)
{
    struct bench *b = *state;
    struct flight *flights[2];
    for (int i = 0; i < 2; i++)
        flights[i] = closed(b, i);
    assert_int_equal(coalesce_merge(flights[0], none_is_filling), 0);
    assert_int_equal(coalesce_merge(flights[1], none_is_filling), 1);
    assert_int_equal(b->released_count, 1);
    finish_with(flights[0], "MISS");
    assert_string_equal(b->readers[0].status, "MISS");
    assert_string_equal(b->readers[1].status, "MISS");
}

static void test_an_image_on_its_way_to_the_disk_is_an_answer(void **state)
{
    struct bench *b = *state;
    struct flight *flight = closed(b, 0);
    assert_int_equal(coalesce_merge(flight, one_is_filling), 1);
    assert_int_equal(b->readers[0].told, 0);
    assert_int_equal(b->released_count, 1);
}

static void test_a_shared_flight_is_forgotten_too(void **state)
{
    struct bench *b = *state;
    struct flight *flights[2];
    for (int i = 0; i < 2; i++) {
        flights[i] = closed(b, i);
        assert_int_equal(coalesce_merge(flights[i], none_is_filling), 0);
        coalesce_forget(&b->c, &key_a);
    }
    finish_with(flights[0], "OLD");
    assert_int_equal(b->readers[1].told, WAITING);
    finish_with(flights[1], "NEW");
}

/* Time */

/* Each row: what happens, and what the reader was told then. */
enum event { PASSES, DISK_MOVES, SOURCE_MOVES, TO_SOURCE, SOURCE_HELD, BYTES_COME, MORE_TIME };

static void happen(struct bench *b, struct flight *flight, enum event event, int64_t ms)
{
    switch (event) {
    case PASSES:
        coalesce_time_passes(&b->c, ms);
        break;
    case DISK_MOVES:
    case SOURCE_MOVES:
        coalesce_moved(&b->c, event == DISK_MOVES ? LIMIT_DISK : LIMIT_SOURCE);
        break;
    case TO_SOURCE:
        coalesce_pass(flight, 1);
        assert_ptr_equal(taken(b), flight);
        break;
    case SOURCE_HELD:
        b->clocks[LIMIT_SOURCE].held = 1;
        break;
    case BYTES_COME:
        flight->came += 1;
        break;
    case MORE_TIME:
        b->clocks[LIMIT_DISK].more_ms = ms;
        break;
    }
}

static const struct {
    const char *name;
    struct {
        enum event event;
        int64_t ms;
    } events[8];
    int64_t last_ms; /* before it the reader waits, and then his time is up */
    const char *why;
} times[] = {
    {"a slow disk is waited for, a hung one is not", {{PASSES, 59999}}, 1, "disk"},
    {"a disk that moves", {{PASSES, 59999}, {DISK_MOVES, 0}, {PASSES, 59999}}, 1, "disk"},
    {"a disk that is hashing", {{MORE_TIME, 1000}, {PASSES, 60999}}, 1, "disk"},
    {"ten minutes in all", {{PASSES, 590000 / 10}, {DISK_MOVES, 0}, {MORE_TIME, 600000}, {PASSES, 540999}}, 1, "disk"},
    {"the limit of the source begins with its stage", {{PASSES, 59999}, {TO_SOURCE, 0}, {PASSES, 1499}}, 1, "source"},
    {"a source that answers others", {{TO_SOURCE, 0}, {PASSES, 1000}, {SOURCE_MOVES, 0}, {PASSES, 1499}}, 1, "source"},
    {"a source that is held up by the disk", {{TO_SOURCE, 0}, {SOURCE_HELD, 0}, {PASSES, 19999}}, 1, "source"},
    {"bytes that come", {{TO_SOURCE, 0}, {PASSES, 1000}, {BYTES_COME, 0}, {PASSES, 1}, {PASSES, 1499}}, 1, "source"},
};

static void test_time_limits(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        memset(b->clocks, 0, sizeof b->clocks);
        memset(b->late, 0, sizeof b->late);
        b->c.clock_ms = 0;
        b->taken_count = 0;
        read_image(b, 0, &key_a);
        struct flight *flight = taken(b);
        for (size_t j = 0; j < sizeof times[i].events / sizeof *times[i].events; j++)
            happen(b, flight, times[i].events[j].event, times[i].events[j].ms);
        if (b->readers[0].told != WAITING)
            fail_msg("%s: told too early", times[i].name);
        coalesce_time_passes(&b->c, times[i].last_ms);
        if (b->readers[0].told != -ETIMEDOUT || strcmp(b->readers[0].why.text, times[i].why) != 0)
            fail_msg("%s: told %d, \"%s\"", times[i].name, b->readers[0].told, b->readers[0].why.text);
        assert_int_equal(b->late[flight->limit], 1);
        assert_false(coalesce_has_waiters(flight));
        finish_absent(flight);
    }
}

static void test_what_is_left_in_memory_is_given_when_the_time_is_up(void **state)
{
    struct bench *b = *state;
    read_image(b, 0, &key_a);
    struct flight *flight = taken(b);
    flight->left = image_of(&key_a);
    coalesce_time_passes(&b->c, 60000);
    assert_int_equal(b->readers[0].told, 0);
    finish_absent(flight);
}

static void test_the_time_of_who_joins_late_begins_late(void **state)
{
    struct bench *b = *state;
    read_image(b, 0, &key_a);
    struct flight *flight = taken(b);
    coalesce_time_passes(&b->c, 30000);
    read_image(b, 1, &key_a);
    coalesce_time_passes(&b->c, 30000);
    assert_int_equal(b->readers[0].told, -ETIMEDOUT);
    assert_int_equal(b->readers[1].told, WAITING);
    finish_absent(flight);
    assert_int_equal(b->readers[1].told, -ENOENT);
}

/* The end */

static void test_stop_waits_for_what_is_under_way_and_lets_nobody_in(void **state)
{
    struct bench *b = *state;
    struct flight *flight = closed(b, 0);
    assert_int_equal(coalesce_stop(&b->c, clock_monotonic_ms()), -ETIMEDOUT);
    assert_true(b->c.stopping);
    assert_int_equal(coalesce_read(&b->c, &key_b, note_told, &b->readers[1]), -EAGAIN);
    finish_absent(flight);
    assert_int_equal(coalesce_stop(&b->c, clock_monotonic_ms()), 0);
}

static void *finish_later(void *arg)
{
    struct flight *flight = arg;
    while (!flight->engine->stopping)
        sched_yield();
    finish_absent(flight);
    return NULL;
}

static void test_stop_ends_with_the_last_flight(void **state)
{
    struct bench *b = *state;
    pthread_t thread;
    read_image(b, 0, &key_a);
    struct flight *flight = taken(b);
    assert_int_equal(pthread_create(&thread, NULL, finish_later, flight), 0);
    assert_int_equal(coalesce_stop(&b->c, clock_monotonic_ms() + 20000), 0);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_readers_of_one_image_share_a_flight, setup, teardown),
        cmocka_unit_test_setup_teardown(test_readers_of_two_images_do_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_joins_a_closed_flight, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_answer_is_given_until_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flights_behind_the_first_stage_become_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_image_on_its_way_to_the_disk_is_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_shared_flight_is_forgotten_too, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_left_in_memory_is_given_when_the_time_is_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_time_of_who_joins_late_begins_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_waits_for_what_is_under_way_and_lets_nobody_in, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_ends_with_the_last_flight, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
