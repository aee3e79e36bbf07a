#include "stats/access.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "base/thread.h"
#include "client/db.h"
#include "config/config.h"
#include "fs/safepath.h"
#include "sql.h"
#include "stats/access_table.h"

#define BATCH          1000
#define ARRAY_MAX      (BATCH * 128) /* bytes; a collection's name has at most 64 */
#define PATHS_MAX      (BATCH * (SAFEPATH_MAX + 4))
#define TRIES          3
#define REFUSED_MAX    100 /* images of one flush that are looked for one by one */
#define DRAIN_GRACE_MS 200 /* for the thread to notice that its time is up */
#define HOUR_MS        INT64_C(3600000)
#define HOURS_MAX      BATCH /* rows of access_hour that may wait for the database */

struct hour {
    int64_t hour_ms; /* its begin, since 1970 */
    size_t collection;
    int64_t requests;
};

struct access {
    struct store *store;
    struct access_table *table;
    struct thread thread;

    atomic_llong deadline_ms; /* no batch begins after it */
    atomic_llong *requests;   /* of each collection, since they were last taken */

    /* Of the thread alone; the result, once it has ended, of access_stop. */
    int result;
    struct error why;
    int64_t counted_ms; /* when the requests were last taken: all of them came after that */
    size_t hours_len;
    struct hour hours[HOURS_MAX];
    struct access_row rows[BATCH];
    struct db_array names, paths, times, counts;
};

static int64_t realtime_ms(void)
{
    return clock_realtime_us() / 1000;
}

static void drop(int64_t requests)
{
    metric_add(METRIC_access_dropped, METRIC_none, METRIC_none, requests);
}

void access_note(struct access *a, const struct image_key *key)
{
    if (a && !access_table_note(a->table, key, clock_realtime_us()))
        drop(1);
}

void access_request(struct access *a, const char *collection)
{
    if (!a)
        return;
    const struct config *config = store_config(a->store);
    for (size_t i = 0; i < config->collections_len; i++)
        if (strcmp(config->collections[i].name, collection) == 0) {
            atomic_fetch_add_explicit(&a->requests[i], 1, memory_order_relaxed);
            return;
        }
}

static int time_is_up(const struct access *a)
{
    return !clock_left_ms(atomic_load(&a->deadline_ms));
}

/* Runs a query with one connection of the pool, again when it lost against another one, or when a connection that had
 * lain idle turns out to be dead. A database that cannot be reached is not asked again. */
static int query(struct access *a, const struct sql_query *query, const struct db_params *params, struct error *e)
{
    int r = -EAGAIN;
    for (int i = 0; i < TRIES && (r == -EAGAIN || r == -ENOTCONN); i++) {
        struct db_conn *conn;
        if (time_is_up(a))
            return error_set(e, -ETIMEDOUT, "there was no time left to write when images were asked for");
        r = db_get(store_pool(a->store), &conn, e);
        if (r < 0)
            return r;
        db_limit(conn, clock_left_ms(atomic_load(&a->deadline_ms)));
        r = db_query(conn, query, params, NULL, e);
        db_put(conn);
    }
    return r;
}

static int write_images(struct access *a, const struct access_row *rows, size_t count, struct error *e)
{
    struct db_params params;
    int r = 0;
    db_array_reset(&a->names);
    db_array_reset(&a->paths);
    db_array_reset(&a->times);
    db_array_reset(&a->counts);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = db_array_add_text(&a->names, rows[i].key.collection);
        if (r == 0)
            r = db_array_add_text(&a->paths, rows[i].key.path);
        if (r == 0)
            r = db_array_add_time(&a->times, rows[i].accessed_us);
        if (r == 0)
            r = db_array_add_int(&a->counts, rows[i].requests);
    }
    if (r < 0)
        return error_set(e, r, "no memory is left to write when images were asked for");
    db_params_init(&params);
    db_param_array(&params, &a->names);
    db_param_array(&params, &a->paths);
    db_param_array(&params, &a->times);
    db_param_array(&params, &a->counts);
    return query(a, &sql_access_touch, &params, e);
}

/* The server does not take the values, and never will: a file's name that the database's encoding can't hold. */
static int is_refusal(int r)
{
    return r == -EILSEQ || r == -EINVAL;
}

static int64_t sum(const struct access_row *rows, size_t count)
{
    int64_t requests = 0;
    for (size_t i = 0; i < count; i++)
        requests += rows[i].requests;
    return requests;
}

/* Writes images, or gives them back. One that is refused is found by halving and dropped, lest it hold up the others
 * for ever; when there are too many of those, what is refused is dropped as it is. Then the code is that refusal's. */
static int write_or_give_back(struct access *a, const struct access_row *rows, size_t count, int *refused,
                              struct error *e)
{
    int r = write_images(a, rows, count, e);
    if (r == 0) {
        metric_add(METRIC_access_written, METRIC_none, METRIC_none, sum(rows, count));
    } else if (!is_refusal(r)) {
        access_table_give_back(a->table, rows, count);
    } else if (count == 1 || *refused >= REFUSED_MAX) {
        drop(sum(rows, count));
        ++*refused;
    } else {
        size_t half = count / 2;
        r = write_or_give_back(a, rows, half, refused, e);
        if (r == 0 || is_refusal(r)) {
            int other = write_or_give_back(a, rows + half, count - half, refused, e);
            return other < 0 ? other : r;
        }
        access_table_give_back(a->table, rows + half, count - half);
    }
    return r;
}

/* Writes what is due, a batch at a time, until all is written or the database can't be asked. */
static int flush_images(struct access *a, enum access_take how, struct error *e)
{
    size_t pos = 0, count;
    int ret = 0, refused = 0;
    do {
        count = access_table_take(a->table, how, clock_monotonic_ms(), &pos, a->rows, BATCH);
        int r = count ? write_or_give_back(a, a->rows, count, &refused, e) : 0;
        ret = r < 0 ? r : ret;
    } while (count == BATCH && (ret == 0 || is_refusal(ret)));
    return ret;
}

/* Adds to the hour's row, which is most likely the last one of its collection. */
static void add_hour(struct access *a, int64_t hour_ms, size_t collection, int64_t requests)
{
    for (size_t i = a->hours_len; i-- > 0;)
        if (a->hours[i].hour_ms == hour_ms && a->hours[i].collection == collection) {
            a->hours[i].requests += requests;
            return;
        }
    if (a->hours_len < HOURS_MAX)
        a->hours[a->hours_len++] = (struct hour){hour_ms, collection, requests};
    else
        drop(requests);
}

/* Takes the requests of all collections. The thread wakes at each full hour, so that those since it last did so belong
 * to the hour in which that was. */
static void take_requests(struct access *a)
{
    int64_t hour_ms = a->counted_ms / HOUR_MS * HOUR_MS;
    for (size_t i = 0; i < store_config(a->store)->collections_len; i++) {
        int64_t requests = atomic_exchange_explicit(&a->requests[i], 0, memory_order_relaxed);
        if (requests)
            add_hour(a, hour_ms, i, requests);
    }
    a->counted_ms = realtime_ms();
}

static int flush_hours(struct access *a, struct error *e)
{
    struct db_params params;
    int r = 0;
    if (!a->hours_len)
        return 0;
    db_array_reset(&a->times);
    db_array_reset(&a->names);
    db_array_reset(&a->counts);
    for (size_t i = 0; r == 0 && i < a->hours_len; i++) {
        const struct hour *h = &a->hours[i];
        r = db_array_add_time(&a->times, h->hour_ms * 1000);
        if (r == 0)
            r = db_array_add_text(&a->names, store_config(a->store)->collections[h->collection].name);
        if (r == 0)
            r = db_array_add_int(&a->counts, h->requests);
    }
    if (r < 0)
        return error_set(e, r, "no memory is left to write the requests by hour");
    db_params_init(&params);
    db_param_array(&params, &a->times);
    db_param_array(&params, &a->names);
    db_param_array(&params, &a->counts);
    r = query(a, &sql_access_hours, &params, e);
    if (r == 0)
        a->hours_len = 0;
    return r;
}

static int flush(struct access *a, enum access_take how, struct error *e)
{
    take_requests(a);
    int r = flush_images(a, how, e);
    if (db_unavailable(r))
        return r;
    int hours = flush_hours(a, r < 0 ? NULL : e);
    return r < 0 ? r : hours;
}

/* Waits for a tick, the full hour or the stop. Returns whether to go on. */
static int wait_for_tick(struct access *a)
{
    int64_t to_hour_ms = HOUR_MS - realtime_ms() % HOUR_MS;
    return thread_wait(&a->thread, clock_monotonic_ms() + (to_hour_ms < ACCESS_TICK_MS ? to_hour_ms : ACCESS_TICK_MS));
}

static void access_run(void *arg)
{
    struct access *a = arg;
    while (wait_for_tick(a)) {
        (void)flush(a, ACCESS_TAKE_DUE, NULL); /* what failed is due again */
        access_table_sweep(a->table, clock_monotonic_ms());
    }
    a->result = flush(a, ACCESS_TAKE_ALL, &a->why);
}

static void free_access(struct access *a)
{
    db_array_release(&a->names);
    db_array_release(&a->paths);
    db_array_release(&a->times);
    db_array_release(&a->counts);
    thread_destroy(&a->thread);
    access_table_free(a->table);
    free(a->requests);
    free(a);
}

/* All but the table, the counters and the thread. */
static void init(struct access *a, struct store *store)
{
    a->store = store;
    a->counted_ms = realtime_ms();
    atomic_init(&a->deadline_ms, INT64_MAX);
    db_array_init(&a->names, DB_TEXT, ARRAY_MAX);
    db_array_init(&a->paths, DB_TEXT, PATHS_MAX);
    db_array_init(&a->times, DB_TIMESTAMPTZ, ARRAY_MAX);
    db_array_init(&a->counts, DB_INT8, ARRAY_MAX);
    thread_init(&a->thread, LOCK_access);
}

int access_start(struct access **ret, struct store *store)
{
    struct access *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    init(a, store);
    a->requests = calloc(store_config(store)->collections_len, sizeof *a->requests);
    int r = a->requests ? access_table_new(&a->table, ACCESS_IMAGES_MAX) : -ENOMEM;
    if (r == 0)
        r = thread_start(&a->thread, "access", access_run, a);
    if (r < 0)
        free_access(a);
    else
        *ret = a;
    return r;
}

int access_stop(struct access *a, int64_t deadline_ms, struct error *e)
{
    if (!a)
        return 0;
    int64_t now_ms = clock_monotonic_ms();
    atomic_store(&a->deadline_ms, deadline_ms);
    if (thread_stop(&a->thread, (deadline_ms > now_ms ? deadline_ms : now_ms) + DRAIN_GRACE_MS) < 0)
        return error_set(e, -EBUSY, "the database did not answer in time");
    int r = a->result;
    if (r < 0 && e)
        *e = a->why;
    free_access(a);
    return r;
}
