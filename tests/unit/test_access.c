/* The table of accesses, and what becomes of notes when there is no database. With ACCESS_DATABASE_URL in the
 * environment instead what becomes of them when there is one: tests/integration/test_16_access.py looks at the rows. */
#include "stats/access.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/metric.h"
#include "config/config.h"
#include "fs/safepath.h"
#include "stats/access_table.h"

#define ROWS   64
#define PERIOD ACCESS_PERIOD_MS

/* Image n of "media". */
static struct image_key numbered(int64_t n)
{
    static _Thread_local char path[32];
    (void)snprintf(path, sizeof path, "n/%lld.png", (long long)n);
    return (struct image_key){"media", path};
}

static int64_t number(const struct access_row *row)
{
    long long n = 0;
    assert_string_equal(row->key.collection, "media");
    assert_int_equal(sscanf(row->key.path, "n/%lld.png", &n), 1);
    return n;
}

static int note(struct access_table *t, int64_t n, int64_t now_us)
{
    const struct image_key key = numbered(n);
    return access_table_note(t, &key, now_us);
}

static struct access_table *new_table(size_t images)
{
    struct access_table *t = NULL;
    assert_int_equal(access_table_new(&t, images), 0);
    return t;
}

static size_t take(struct access_table *t, enum access_take how, int64_t now_ms, struct access_row rows[ROWS])
{
    size_t pos = 0;
    return access_table_take(t, how, now_ms, &pos, rows, ROWS);
}

static void expect_row(struct access_table *t, int64_t now_ms, int64_t n, int64_t accessed_us, int64_t requests)
{
    struct access_row rows[ROWS];
    assert_int_equal(take(t, ACCESS_TAKE_DUE, now_ms, rows), 1);
    assert_int_equal(number(&rows[0]), n);
    assert_int_equal(rows[0].accessed_us, accessed_us);
    assert_int_equal(rows[0].requests, requests);
}

static void expect_none(struct access_table *t, int64_t now_ms)
{
    struct access_row rows[ROWS];
    assert_int_equal(take(t, ACCESS_TAKE_DUE, now_ms, rows), 0);
}

static void test_once_a_period(void **state)
{
    (void)state;
    struct access_table *t = new_table(100);
    struct access_row rows[ROWS];
    expect_none(t, 5);
    assert_true(note(t, 7, 1000));
    assert_true(note(t, 7, 3000));
    assert_true(note(t, 7, 2000)); /* late */
    expect_row(t, 10, 7, 3000, 3);
    expect_none(t, 10);

    assert_true(note(t, 7, 4000));
    expect_none(t, 10 + PERIOD - 1);
    assert_true(note(t, 7, 5000));
    expect_row(t, 10 + PERIOD, 7, 5000, 2);

    assert_true(note(t, 7, 6000));
    expect_none(t, 10 + PERIOD + 1);
    assert_int_equal(take(t, ACCESS_TAKE_ALL, 10 + PERIOD + 1, rows), 1);
    assert_int_equal(rows[0].requests, 1);
    expect_none(t, 10 + 5 * PERIOD);
    access_table_free(t);
}

static void test_given_back(void **state)
{
    (void)state;
    struct access_table *t = new_table(100);
    struct access_row rows[ROWS];
    assert_true(note(t, 1, 1000));
    assert_true(note(t, 1, 2000));
    assert_int_equal(take(t, ACCESS_TAKE_DUE, 10, rows), 1);
    assert_true(note(t, 1, 1500)); /* while it is written */
    access_table_give_back(t, rows, 1);
    expect_row(t, 11, 1, 2000, 3);

    /* More than an entry can count. */
    assert_true(note(t, 6, 1));
    assert_int_equal(take(t, ACCESS_TAKE_DUE, 11, rows), 1);
    rows[0].requests = INT64_C(1) << 40;
    access_table_give_back(t, rows, 1);
    assert_true(note(t, 6, 2));
    expect_row(t, 11, 6, 2, UINT32_MAX);
    access_table_free(t);
}

static void test_keys(void **state)
{
    (void)state;
    struct access_table *t = new_table(100);
    struct access_row rows[ROWS];
    char path[SAFEPATH_MAX + 2];
    char collection[IMAGE_COLLECTION_MAX + 1];
    memset(path, 'p', sizeof path);
    memset(collection, 'c', sizeof collection);
    collection[IMAGE_COLLECTION_MAX] = '\0';
    path[SAFEPATH_MAX + 1] = '\0';
    assert_false(access_table_note(t, &(struct image_key){collection, path}, 1));
    path[SAFEPATH_MAX] = '\0';
    assert_true(access_table_note(t, &(struct image_key){collection, path}, 1));
    assert_int_equal(take(t, ACCESS_TAKE_DUE, 1, rows), 1);
    assert_string_equal(rows[0].key.collection, collection);
    assert_string_equal(rows[0].key.path, path);

    /* Different ones, however alike; the table keeps copies. */
    const char *const keys[][2] = {{"a", "b/c"}, {"a", "b"}, {"ab", "c"}, {"b", "b/c"}, {"a", "b/C"}};
    for (int i = 0; i < 5; i++) {
        (void)snprintf(collection, sizeof collection, "%s", keys[i][0]);
        (void)snprintf(path, sizeof path, "%s", keys[i][1]);
        assert_true(access_table_note(t, &(struct image_key){collection, path}, 2));
    }
    assert_int_equal(take(t, ACCESS_TAKE_DUE, 2, rows), 5);
    for (int i = 0; i < 5; i++) {
        int found = 0;
        for (int n = 0; n < 5; n++)
            found += strcmp(rows[n].key.collection, keys[i][0]) == 0 && strcmp(rows[n].key.path, keys[i][1]) == 0;
        assert_int_equal(found, 1);
    }
    access_table_free(t);
    access_table_free(NULL);
}

/* However many there are: what has room comes out once, whole; what has none is refused. */
static void test_full(void **state)
{
    (void)state;
    enum { IMAGES = 5000, ROOM = 1600 };
    struct access_table *t = new_table(ROOM);
    static int64_t noted[IMAGES], taken[IMAGES];
    int64_t refused = 0;
    size_t pos = 0, count, images = 0;
    struct access_row rows[ROWS];
    for (int round = 0; round < 3; round++)
        for (int64_t n = 0; n < IMAGES; n++)
            if (note(t, n, 1))
                noted[n]++;
            else
                refused++;
    do {
        count = access_table_take(t, ACCESS_TAKE_DUE, 1, &pos, rows, ROWS);
        for (size_t i = 0; i < count; i++)
            taken[number(&rows[i])] += rows[i].requests;
        images += count;
    } while (count == ROWS);
    assert_memory_equal(noted, taken, sizeof noted);
    assert_int_equal(images, ROOM);
    assert_int_equal(refused, 3 * (IMAGES - ROOM));

    /* A full table has room for what is given back. */
    access_table_give_back(t, rows, 1);
    expect_row(t, 1, number(&rows[0]), 1, rows[0].requests);
    /* A crowded table keeps no memory of what was written. */
    access_table_sweep(t, 2);
    for (int64_t n = IMAGES; n < IMAGES + ROOM / 2; n++)
        assert_true(note(t, n, 1));
    access_table_free(t);
}

static void test_memory_of_writes(void **state)
{
    (void)state;
    struct access_table *t = new_table(1600);
    assert_true(note(t, 1, 1));
    expect_row(t, 10, 1, 1, 1);
    access_table_sweep(t, 11); /* kept: it was written a moment ago */
    assert_true(note(t, 1, 2));
    expect_none(t, 12);
    access_table_sweep(t, 10 + PERIOD); /* kept: it has a note */
    expect_row(t, 10 + PERIOD, 1, 2, 1);
    access_table_sweep(t, 10 + 2 * PERIOD); /* forgotten */
    assert_true(note(t, 1, 3));
    expect_row(t, 11, 1, 3, 1);
    access_table_free(t);
}

#define NOTERS 4
#define NOTES  50000

static void *note_many(void *arg)
{
    for (int64_t i = 0; i < NOTES; i++)
        assert_true(note(arg, i % 300, i));
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct access_table *t = new_table(16000);
    pthread_t threads[NOTERS];
    struct access_row rows[ROWS];
    int64_t sum = 0;
    size_t count;
    for (int i = 0; i < NOTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, t), 0);
    for (int i = 0; i < 100; i++) { /* some go back, some are swept away once they are written */
        count = take(t, ACCESS_TAKE_ALL, 1, rows);
        size_t back = i % 2 ? count / 2 : 0;
        access_table_give_back(t, rows, back);
        for (size_t n = back; n < count; n++)
            sum += rows[n].requests;
        access_table_sweep(t, PERIOD + 1);
    }
    for (int i = 0; i < NOTERS; i++)
        pthread_join(threads[i], NULL);
    while ((count = take(t, ACCESS_TAKE_ALL, 1, rows)))
        for (size_t n = 0; n < count; n++)
            sum += rows[n].requests;
    assert_int_equal(sum, NOTERS * NOTES);
    access_table_free(t);
}

static struct store *open_store(struct config *config, const char *url)
{
    struct store *store = NULL;
    struct error e;
    const struct config_flag flags[] = {{"database-url", url}, {NULL, NULL}};
    if (config_load(config, flags, NULL, NULL, &e) < 0 || store_open(&store, config, &e) < 0)
        fail_msg("%s", e.text);
    return store;
}

static void test_no_database(void **state)
{
    (void)state;
    struct config config;
    struct store *store = open_store(&config, "postgresql:///none?host=/nonexistent");
    const struct image_key image = {"media", "a.png"};
    char long_path[SAFEPATH_MAX + 100] = "";
    struct access *a;
    struct error e = {0};
    assert_int_equal(access_start(&a, store), 0);
    access_request(a, "media");
    access_request(a, "no such collection");
    access_note(a, &image);
    assert_int_equal(access_stop(a, clock_monotonic_ms() + 10000, &e), -ENOTCONN);
    assert_true(*e.text != '\0');

    /* Nobody to note for. */
    access_note(NULL, &image);
    access_request(NULL, "media");
    /* Nothing to write: the database is not asked. */
    assert_int_equal(access_start(&a, store), 0);
    assert_int_equal(access_stop(a, clock_monotonic_ms() + 10000, &e), 0);
    /* No time. */
    assert_int_equal(access_start(&a, store), 0);
    access_note(a, &image);
    int64_t dropped = metric_get(METRIC_access_dropped, METRIC_none, METRIC_none);
    memset(long_path, 'p', sizeof long_path - 1);
    access_note(a, &(struct image_key){"media", long_path});
    assert_int_equal(metric_get(METRIC_access_dropped, METRIC_none, METRIC_none), dropped + 1);
    int r;
    while ((r = access_stop(a, 0, &e)) == -EBUSY)
        ; /* its thread has not had a core yet */
    assert_int_equal(r, -ETIMEDOUT);
    assert_int_equal(access_stop(NULL, 0, NULL), 0);
    store_close(store);
    config_release(&config);
}

/* A server that takes connections and says nothing. */
static void test_silent_database(void **state)
{
    (void)state;
    struct config config;
    struct access *a;
    char url[100];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    struct error e;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(url, sizeof url, "postgresql://127.0.0.1:%d/x?sslmode=disable", ntohs(at.sin_port));
    struct store *store = open_store(&config, url);
    assert_int_equal(access_start(&a, store), 0);
    access_note(a, &(struct image_key){"media", "a.png"});
    int64_t began_ms = clock_monotonic_ms();
    assert_int_equal(access_stop(a, began_ms + 300, &e), -EBUSY);
    assert_in_range(clock_monotonic_ms() - began_ms, 300, 8000);
    close(fd);
    assert_int_equal(access_stop(a, clock_monotonic_ms() + 10000, &e), -ENOTCONN);
    store_close(store);
    config_release(&config);
}

/* One request for a.png, two for b.png and so on up to e.png, one each for 2,500 that do not exist, and
 * some for what no database in UTF8 can hold. */
static void test_database(void **state)
{
    (void)state;
    struct config config;
    struct store *store = open_store(&config, getenv("ACCESS_DATABASE_URL"));
    struct access *a;
    struct error e;
    char path[] = "a.png", bad[32];
    assert_int_equal(access_start(&a, store), 0);
    for (int i = 1; i <= 5; i++, path[0]++)
        for (int n = 0; n < i; n++) {
            access_note(a, &(struct image_key){"media", path});
            access_request(a, "media");
        }
    for (int64_t n = 0; n < 2500; n++) {
        const struct image_key none = numbered(n);
        access_note(a, &none);
        if (n % 1000 == 0) {
            (void)snprintf(bad, sizeof bad, "\xff %lld", (long long)n);
            access_note(a, &(struct image_key){"media", bad});
        }
    }
    assert_int_equal(access_stop(a, clock_monotonic_ms() + 30000, &e), -EILSEQ);
    assert_non_null(strstr(e.text, "UTF8"));
    assert_int_equal(metric_get(METRIC_access_written, METRIC_none, METRIC_none), 15 + 2500);
    assert_int_equal(metric_get(METRIC_access_dropped, METRIC_none, METRIC_none), 3);
    store_close(store);
    config_release(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_a_period), cmocka_unit_test(test_given_back),       cmocka_unit_test(test_keys),
        cmocka_unit_test(test_full),          cmocka_unit_test(test_memory_of_writes), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_no_database),   cmocka_unit_test(test_silent_database),
    };
    const struct CMUnitTest with_database[] = {cmocka_unit_test(test_database)};
    if (getenv("ACCESS_DATABASE_URL"))
        return cmocka_run_group_tests(with_database, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
