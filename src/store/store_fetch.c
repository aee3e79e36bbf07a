/* Reading without waiting. One flight per image, however many ask for it:
 *
 *     store_fetch -> [ disk threads ] -> landed
 *                          | not there: whose image is being fetched joins that flight
 *                    [ redis threads: those that wait together share a round trip ] -> disk filled -> landed
 *                          | not there either, or Redis is away; without Redis this stage is none
 *                    [ db threads: those that wait together share a connection ] -> disk and Redis filled -> landed
 *                          | the row only names an object
 *                    [ object threads: one transfer each, into a file that is compared and then published ] -> landed
 *
 * An image lands before its file is there. Until then it is kept at hand: who finds no file gets it, and the database
 * is not asked again. When many large ones are under way, they land as files, so that slow clients hold no memory.
 *
 * Disk and database have threads of their own, so that a database that hangs holds up nobody whose file is there. Who
 * waits, and for how long, is told in store/fetch_flight.h. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metric.h"
#include "store/fetch_flight.h"
#include "store/memo.h"
#include "store/redis_fill.h"
#include "store/store_fill.h"
#include "store/store_hot.h"
#include "store/store_object.h"
#include "tier/tier_db.h"
#include "tier/tier_disk.h"
#include "tier/tier_redis.h"

#define SHARED_BY      8 /* reads on one connection at a time */
#define REDIS_THREADS  2
#define OBJECT_THREADS 8

/* Of flights that ask Redis, or the database, together. */
struct fetch_batch {
    struct store_fetch *f;
    uint64_t version, mark; /* before it was asked: of the memo, of the disk */
    struct redis_fill_since since;
};

void store_fetch_share(struct store_fetch *f, const struct image_meta *row, const struct redis_fill_since *since)
{
    if (f->redis_fill)
        redis_fill_share(f->redis_fill, row, since);
}

/* Landing */

/* The file of a large image is there, or can't be. */
static void land_file(void *arg)
{
    struct fetch_flight *flight = arg;
    struct image *image = flight->image, *file;
    if (tier_disk_open(flight->fetch->store->disk, &flight->key, &file, NULL, NULL) == 0 &&
        memcmp(file->meta.sha256, image->meta.sha256, sizeof file->meta.sha256) == 0) {
        image_unref(image);
        image = file;
    }
    flight_disk_answers(flight->fetch);
    flight_land(flight->fetch, flight, image, flight->tier, NULL);
}

static void filled(void *arg)
{
    memo_filled(arg);
}

/* Before a source is asked. */
static void mark(struct fetch_batch *b)
{
    b->version = memo_version(b->f->store->memo);
    b->mark = tier_disk_epoch(b->f->store->disk);
    if (b->f->redis_fill)
        b->since = redis_fill_now(b->f->store);
}

/* Puts the image on disk and keeps it at hand until it is there, unless what was stored since the database was asked
 * may be this very image: without memory, too, it is read once more. 0, or -EAGAIN: too many wait for the disk. */
static int fill(const struct fetch_batch *b, struct image *image)
{
    struct filling *one = memo_add_filling(b->f->store->memo, image, b->version);
    int r = one ? fill_later(b->f->fill, image, b->mark, FILL_IF_ROOM, filled, one) : 0;
    if (r < 0)
        filled(one);
    return r;
}

static void count_fills(struct store_fetch *f, int change)
{
    pthread_mutex_lock(&f->lock);
    f->fills += change;
    if (!f->fills)
        f->db_answered_ms = f->clock_ms; /* it could not before */
    pthread_mutex_unlock(&f->lock);
}

static void land_found(const struct fetch_batch *b, struct fetch_flight *flight, struct image *image, const char *tier)
{
    struct store_fetch *f = b->f;
    int small = image->meta.size <= STORE_SMALL_MAX;
    if (store_has_room(f->store, image->meta.size) && (fill(b, image) == 0 || small)) {
        flight_land(f, flight, image, tier, NULL);
        return;
    }
    flight->image = image;
    flight->tier = tier;
    flight_enter(f, flight, FLIGHT_DISK);
    count_fills(f, 1);
    (void)fill_later(f->fill, image, b->mark, FILL_SURELY, land_file, flight);
    count_fills(f, -1);
}

static void land_verified(const struct fetch_batch *b, struct fetch_flight *flight, struct image *image)
{
    struct error why;
    if (image_verify(&image->meta, image->bytes, (size_t)image->meta.size, &why) < 0) {
        image_unref(image);
        flight_land(b->f, flight, NULL, NULL, &why);
        return;
    }
    if (b->f->redis_fill)
        redis_fill_put(b->f->redis_fill, image, &b->since);
    land_found(b, flight, image, "db");
}

/* Objects */

static void store_fetch_run_objects(void *arg, struct workers *w)
{
    struct store_fetch *f = arg;
    struct fetch_flight *flight;
    while ((flight = workers_take(w))) {
        struct image *image = NULL;
        struct error why;
        int r = store_fetch_linked(f->store, flight->linked, flight->mark, &flight->came, &f->ends, &image, &why);
        metric_add(r == 0 ? METRIC_reads : METRIC_read_errors, METRIC_tier_db, METRIC_none, 1);
        flight_land(f, flight, image, "db", &why);
    }
}

static void land_linked(const struct fetch_batch *b, struct fetch_flight *flight, struct image *linked)
{
    struct store_fetch *f = b->f;
    flight->linked = linked;
    flight->mark = b->mark;
    flight_enter(f, flight, FLIGHT_OBJECT);
    flight_push(f, f->objects, flight);
}

/* The database */

static int db_rests(struct store_fetch *f)
{
    pthread_mutex_lock(&f->lock);
    int rests = clock_monotonic_ms() < f->db_rests_until_ms;
    pthread_mutex_unlock(&f->lock);
    return rests;
}

static void note_answer(struct store_fetch *f)
{
    pthread_mutex_lock(&f->lock);
    f->db_answered_ms = f->clock_ms;
    pthread_mutex_unlock(&f->lock);
}

static void let_db_rest(struct store_fetch *f)
{
    pthread_mutex_lock(&f->lock);
    f->db_rests_until_ms = clock_monotonic_ms() + DB_REST_MS;
    pthread_mutex_unlock(&f->lock);
}

static void got(void *arg, void *item, struct image *image, const struct error *why)
{
    struct fetch_batch *b = arg;
    struct fetch_flight *flight = item;
    if (image || !db_unavailable(why->code))
        note_answer(b->f);
    if (image && image_is_linked(image)) {
        land_linked(b, flight, image);
        return;
    }
    if (image) {
        metric_add(METRIC_reads, METRIC_tier_db, METRIC_none, 1);
        land_verified(b, flight, image);
        return;
    }
    metric_add(why->code == -ENOENT ? METRIC_read_misses : METRIC_read_errors, METRIC_tier_db, METRIC_none, 1);
    if (why->code == -ENOENT)
        memo_add_absent(b->f->store->memo, &flight->key, b->version);
    else if (db_unavailable(why->code))
        let_db_rest(b->f);
    flight_land(b->f, flight, NULL, NULL, why);
}

/* Whether nobody waits for a flight any more that has not asked the database yet, and that did not answer lately. Those
 * of an outage would be many, and each costs a time limit. */
static int is_in_vain(struct store_fetch *f, const struct fetch_flight *flight)
{
    pthread_mutex_lock(&f->lock);
    int in_vain = f->stopped || (!flight->waiters && clock_monotonic_ms() < f->db_rests_until_ms);
    pthread_mutex_unlock(&f->lock);
    return in_vain;
}

_Static_assert(offsetof(struct fetch_flight, key) == 0, "a tier takes flights for what their keys are");

static void store_fetch_run_db(void *arg, struct workers *w)
{
    struct fetch_batch b = {.f = arg};
    void *flights[SHARED_BY];
    size_t count;
    struct error why;
    error_set(&why, -ENOTCONN, "is not on disk, and the database did not answer a moment ago");
    while ((count = workers_take_some(w, flights, SHARED_BY))) {
        int n = 0;
        for (size_t i = 0; i < count; i++) {
            if (is_in_vain(b.f, flights[i]))
                flight_land(b.f, flights[i], NULL, NULL, &why);
            else
                flights[n++] = flights[i];
        }
        mark(&b);
        if (n)
            tier_db_read(b.f->store->db, flights, n, got, &b);
    }
}

/* Redis */

static void got_from_redis(void *arg, void *item, struct image *image, int refresh, const struct error *why)
{
    struct fetch_batch *b = arg;
    struct fetch_flight *flight = item;
    struct error rests;
    if (image) {
        metric_add(METRIC_reads, METRIC_tier_redis, METRIC_none, 1);
        if (refresh)
            redis_fill_refresh(b->f->redis_fill, image);
        land_found(b, flight, image, "redis");
        return;
    }
    metric_add(why->code == -ENOENT ? METRIC_read_misses : METRIC_read_errors, METRIC_tier_redis, METRIC_none, 1);
    if (!db_rests(b->f)) {
        flight_push(b->f, b->f->db, flight);
        return;
    }
    error_set(&rests, -ENOTCONN, "is neither on disk nor in Redis, and the database did not answer a moment ago");
    flight_land(b->f, flight, NULL, NULL, &rests);
}

static void store_fetch_run_redis(void *arg, struct workers *w)
{
    struct fetch_batch b = {.f = arg};
    void *flights[TIER_REDIS_READ_MAX];
    size_t count;
    while ((count = workers_take_some(w, flights, TIER_REDIS_READ_MAX))) {
        mark(&b);
        tier_redis_read(b.f->store->redis, flights, (int)count, got_from_redis, &b);
    }
}

/* The disk */

/* Where an image is looked for that is not on disk. */
static struct workers *below(const struct store_fetch *f)
{
    return f->redis && tier_redis_is_up(f->store->redis) ? f->redis : f->db;
}

static void store_fetch_run_disk(void *arg, struct workers *w)
{
    struct store_fetch *f = arg;
    struct fetch_flight *flight;
    struct filestate state;
    struct image *image;
    struct error why;
    while ((flight = workers_take(w))) {
        struct image *at_hand = flight_depart(f, flight); /* before the look at the disk: its end may come between */
        int r = tier_disk_open(f->store->disk, &flight->key, &image, &state, &why);
        flight_disk_answers(f);
        if (r == 0) {
            image = store_hot_keep(f->store, image, &state);
            metric_add(METRIC_reads, METRIC_tier_disk, METRIC_none, 1);
            image_unref(at_hand);
            flight_land(f, flight, image, "disk", NULL);
            continue;
        }
        if (at_hand) {
            flight_land_at_hand(f, flight, at_hand);
            continue;
        }
        metric_add(METRIC_read_misses, METRIC_tier_disk, METRIC_none, 1);
        flight->left = store_hot_left(f->store, &flight->key);
        if (memo_is_absent(f->store->memo, &flight->key)) {
            error_set(&why, -ENOENT, "is not stored");
            flight_land(f, flight, NULL, NULL, &why);
        } else if (below(f) == f->db && db_rests(f)) {
            error_set(&why, -ENOTCONN, "is not on disk, and the database did not answer a moment ago");
            flight_land(f, flight, NULL, NULL, &why);
        } else if (!flight_join(f, flight)) {
            flight_push(f, below(f), flight);
        }
    }
}

/* Life */

static int64_t read_db_up(void *arg)
{
    return !db_rests(arg);
}

static int64_t read_held(void *arg)
{
    (void)arg;
    return image_bytes_held();
}

static void show_metrics(struct store_fetch *f, int on)
{
    metric_reader(METRIC_tier_up, METRIC_tier_db, METRIC_none, on ? read_db_up : NULL, f);
    metric_reader(METRIC_image_memory_bytes, METRIC_none, METRIC_none, on ? read_held : NULL, f);
}

/* When no flight comes from the disk any more. */
static void stop_sources(struct store_fetch *f)
{
    if (f->redis)
        workers_finish(f->redis, NULL, NULL);
    if (f->db)
        workers_finish(f->db, NULL, NULL);
    if (f->objects)
        workers_finish(f->objects, NULL, NULL);
    fill_stop(f->fill);
    redis_fill_stop(f->redis_fill);
    f->redis_fill = NULL;
    f->redis = f->db = f->objects = NULL;
}

static int start_threads(struct store_fetch *f)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int r = fill_start(&f->fill, f->store->disk);
    if (r == 0)
        r = workers_start(&f->disk, cores < 2 ? 2 : cores > 8 ? 8 : (int)cores, FLIGHTS_MAX, store_fetch_run_disk, f);
    if (r == 0)
        r = workers_start(&f->db, f->store->config->db_pool - 1, FLIGHTS_MAX, store_fetch_run_db, f);
    if (r == 0)
        r = workers_start(&f->objects, OBJECT_THREADS, FLIGHTS_MAX, store_fetch_run_objects, f);
    if (r == 0 && f->store->redis)
        r = redis_fill_start(&f->redis_fill, f->store);
    if (r == 0 && f->store->redis)
        r = workers_start(&f->redis, REDIS_THREADS, FLIGHTS_MAX, store_fetch_run_redis, f);
    if (r == 0)
        r = -pthread_create(&f->patience, NULL, flight_patience, f);
    if (r == 0)
        return 0;
    if (f->disk)
        workers_finish(f->disk, NULL, NULL);
    stop_sources(f);
    return r;
}

int store_fetch_start(struct store *store, struct error *e)
{
    struct store_fetch *f = store->fetch;
    pthread_mutex_lock(&f->lock);
    f->stopped = 0;
    atomic_store(&f->ends, 0);
    pthread_mutex_unlock(&f->lock);
    int r = start_threads(f);
    if (r < 0)
        return error_set_sentence(e, r, "no threads: %s", strerror(-r));
    f->started = 1;
    if (store->redis)
        tier_redis_connect(store->redis);
    show_metrics(f, 1);
    return 0;
}

int store_fetch_stop(struct store *store, int64_t deadline_ms)
{
    struct timespec until = clock_timespec(deadline_ms * 1000000);
    struct store_fetch *f = store->fetch;
    int r = 0;
    if (!f->started)
        return 0;
    pthread_mutex_lock(&f->lock);
    f->stopped = 1;
    atomic_store(&f->ends, 1);
    pthread_cond_broadcast(&f->stop);
    while (flight_any(f) && r == 0)
        r = pthread_cond_timedwait(&f->stop, &f->lock, &until);
    pthread_mutex_unlock(&f->lock);
    if (r)
        return -ETIMEDOUT;
    show_metrics(f, 0);
    workers_finish(f->disk, NULL, NULL);
    stop_sources(f);
    pthread_join(f->patience, NULL);
    f->started = 0;
    return 0;
}
