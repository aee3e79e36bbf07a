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
 * has waited for FETCH_PATIENCE_MS is told -ETIMEDOUT; the flight goes on and fills the disk all the same. Large
 * objects take longer, and have FETCH_LONGEST_MS.
 *
 * Who asks after a write hears of it: nobody boards a flight that is at the disk already, for its file may be changed,
 * nor one whose row was changed.
 *
 * One lock is over all flights; nobody is told anything while it is held. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/metric.h"
#include "base/workers.h"
#include "store/memo.h"
#include "store/redis_fill.h"
#include "store/store_fill.h"
#include "store/store_hot.h"
#include "store/store_object.h"
#include "store/store_tiers.h"
#include "tier/tier_db.h"
#include "tier/tier_disk.h"
#include "tier/tier_redis.h"

#define FETCH_PATIENCE_MS 1500
#define FETCH_LONGEST_MS  20000 /* even where others are served: the queue is too long */
#define FETCH_ROUND_MS    100
#define FLIGHTS_MAX       16384
#define SHARED_BY         8 /* reads on one connection at a time */
#define REDIS_THREADS     2
#define OBJECT_THREADS    8
#define DB_REST_MS        1000 /* a database that did not answer is left alone for so long */

struct waiter {
    store_landed_fn *landed;
    void *arg;
    int64_t since_us;   /* clock_monotonic_us */
    struct image *left; /* its flight's, once it has waited too long */
    struct waiter *prev, *next;
};

struct flight {
    struct image_key key; /* both inside name; first, for those who read it */
    struct store_fetch *fetch;
    struct image *image;    /* of a large one, while its file is written */
    struct image *left;     /* in memory, of a file that is gone: for when the database can't be asked */
    struct image *linked;   /* the row, when its bytes are elsewhere; set under the lock */
    uint64_t mark;          /* of the disk, before that row was read */
    const char *tier;       /* where the first one was found */
    struct waiter *waiters; /* in the order of arrival */
    struct flight **table;  /* the one that it is in; NULL: nobody boards any more, it is in `closed` */
    struct flight *prev, *next;
    UT_hash_handle hh;
    unsigned name_len;
    char name[]; /* image_key_name */
};

struct store_fetch {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t stop; /* or the last one landed since */
    int started;         /* the threads run */
    int stopped;
    atomic_int ends;        /* what is under way from object storage is given up */
    struct flight *flights; /* that wait for a disk thread */
    struct flight *cold;    /* that are not on disk, until they land */
    struct flight *closed;  /* a list */
    int64_t db_rests_until_ms, db_answered_ms;
    struct workers *disk, *redis, *db, *objects; /* redis NULL: none */
    struct fill *fill;
    struct redis_fill *redis_fill; /* likewise */
    pthread_t patience;
};

/* Flights that ask Redis, or the database, together. */
struct batch {
    struct store_fetch *f;
    uint64_t version, mark; /* before it was asked: of the memo, of the disk */
    struct redis_fill_since since;
};

/* Landing */

static void tell(struct waiter *waiters, struct image *image, const char *tier, const struct error *why)
{
    while (waiters) {
        struct waiter *one = waiters;
        waiters = one->next;
        struct image *given = one->left ? one->left : image ? image_ref(image) : NULL;
        const char *from = one->left ? "memory" : tier;
        if (given)
            metric_observe(METRIC_read_seconds, metric_tier(from), METRIC_none, clock_monotonic_us() - one->since_us);
        one->landed(one->arg, given, from, given ? NULL : why);
        free(one);
    }
}

/* For these, the lock is held. */
static void leave(struct store_fetch *f, struct flight *flight)
{
    if (flight->table)
        HASH_DEL(*flight->table, flight);
    else
        DL_DELETE(f->closed, flight);
}

static void close_flight(struct store_fetch *f, struct flight *flight)
{
    leave(f, flight);
    flight->table = NULL;
    DL_APPEND(f->closed, flight);
}

static void enter(struct flight **table, struct flight *flight)
{
    HASH_ADD(hh, *table, name[0], flight->name_len, flight);
    flight->table = table;
}

static int is_flying(const struct store_fetch *f)
{
    return f->flights || f->cold || f->closed;
}

static void land(struct store_fetch *f, struct flight *flight, struct image *image, const char *tier,
                 const struct error *why)
{
    pthread_mutex_lock(&f->lock);
    leave(f, flight);
    if (f->stopped && !is_flying(f))
        pthread_cond_broadcast(&f->stop);
    pthread_mutex_unlock(&f->lock);
    if (!image && why->code == -ENOENT)
        metric_inc(METRIC_reads_absent);
    if (!image && (why->code == -EAGAIN || why->code == -EHOSTDOWN || db_unavailable(why->code))) {
        image = flight->left;
        flight->left = NULL;
        tier = "memory";
    }
    tell(flight->waiters, image, tier, why);
    image_unref(image);
    image_unref(flight->left);
    image_unref(flight->linked);
    free(flight);
}

void store_fetch_forget(struct store_fetch *f, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    struct flight *flight;
    unsigned len = image_key_name(key, name);
    pthread_mutex_lock(&f->lock);
    HASH_FIND(hh, f->cold, name, len, flight);
    if (flight)
        close_flight(f, flight);
    pthread_mutex_unlock(&f->lock);
}

void store_fetch_forget_matching(struct store_fetch *f, const char *pattern)
{
    struct flight *flight, *next;
    pthread_mutex_lock(&f->lock);
    HASH_ITER (hh, f->cold, flight, next) {
        if (memo_is_meant(&flight->key, pattern))
            close_flight(f, flight);
    }
    pthread_mutex_unlock(&f->lock);
}

void store_fetch_share(struct store_fetch *f, const struct image_meta *row, const struct redis_fill_since *since)
{
    if (f->redis_fill)
        redis_fill_share(f->redis_fill, row, since);
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
    f->db_answered_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&f->lock);
}

static void let_db_rest(struct store_fetch *f)
{
    pthread_mutex_lock(&f->lock);
    f->db_rests_until_ms = clock_monotonic_ms() + DB_REST_MS;
    pthread_mutex_unlock(&f->lock);
}

/* The file of a large image is there, or can't be. */
static void land_file(void *arg)
{
    struct flight *flight = arg;
    struct image *image = flight->image, *file;
    if (tier_disk_open(flight->fetch->store->disk, &flight->key, &file, NULL, NULL) == 0 &&
        memcmp(file->meta.sha256, image->meta.sha256, sizeof file->meta.sha256) == 0) {
        image_unref(image);
        image = file;
    }
    land(flight->fetch, flight, image, flight->tier, NULL);
}

static void filled(void *arg)
{
    memo_filled(arg);
}

/* Before a source is asked. */
static void mark(struct batch *b)
{
    b->version = memo_version(b->f->store->memo);
    b->mark = tier_disk_mark(b->f->store->disk);
    if (b->f->redis_fill)
        b->since = redis_fill_now(b->f->store);
}

/* Puts the image on disk and keeps it at hand until it is there, unless what was stored since the database was asked
 * may be this very image: without memory, too, it is read once more. 0, or -EAGAIN: too many wait for the disk. */
static int fill(const struct batch *b, struct image *image)
{
    struct filling *one = memo_add_filling(b->f->store->memo, image, b->version);
    int r = one ? fill_later(b->f->fill, image, b->mark, FILL_IF_ROOM, filled, one) : 0;
    if (r < 0)
        filled(one);
    return r;
}

static void land_found(const struct batch *b, struct flight *flight, struct image *image, const char *tier)
{
    struct store_fetch *f = b->f;
    int small = image->meta.size <= STORE_SMALL_MAX;
    if (store_has_room(f->store, image->meta.size) && (fill(b, image) == 0 || small)) {
        land(f, flight, image, tier, NULL);
    } else {
        flight->image = image;
        flight->tier = tier;
        (void)fill_later(f->fill, image, b->mark, FILL_SURELY, land_file, flight);
    }
}

static void land_verified(const struct batch *b, struct flight *flight, struct image *image)
{
    struct error why;
    if (image_verify(&image->meta, image->bytes, (size_t)image->meta.size, &why) < 0) {
        image_unref(image);
        land(b->f, flight, NULL, NULL, &why);
        return;
    }
    if (b->f->redis_fill)
        redis_fill_put(b->f->redis_fill, image, &b->since);
    land_found(b, flight, image, "db");
}

/* Objects */

static void run_objects(void *arg, struct workers *w)
{
    struct store_fetch *f = arg;
    struct flight *flight;
    while ((flight = workers_take(w))) {
        struct image *image = NULL;
        struct error why;
        int r = store_fetch_linked(f->store, flight->linked, flight->mark, &f->ends, &image, &why);
        if (r == 0)
            metric_add(METRIC_reads, METRIC_tier_db, METRIC_none, 1);
        else
            metric_add(METRIC_read_errors, METRIC_tier_db, METRIC_none, 1);
        land(f, flight, image, "db", &why);
    }
}

static void land_linked(const struct batch *b, struct flight *flight, struct image *linked)
{
    struct store_fetch *f = b->f;
    struct error why;
    pthread_mutex_lock(&f->lock);
    flight->linked = linked;
    flight->mark = b->mark;
    pthread_mutex_unlock(&f->lock);
    if (workers_push_now(f->objects, flight) == 0)
        return;
    error_set(&why, -EAGAIN, "has to wait for too many others");
    land(f, flight, NULL, NULL, &why);
}

static void got(void *arg, void *item, struct image *image, const struct error *why)
{
    struct batch *b = arg;
    struct flight *flight = item;
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
    if (why->code == -ENOENT)
        metric_add(METRIC_read_misses, METRIC_tier_db, METRIC_none, 1);
    else
        metric_add(METRIC_read_errors, METRIC_tier_db, METRIC_none, 1);
    if (why->code == -ENOENT)
        memo_add_absent(b->f->store->memo, &flight->key, b->version);
    else if (db_unavailable(why->code))
        let_db_rest(b->f);
    land(b->f, flight, NULL, NULL, why);
}

/* Whether nobody waits for a flight any more that has not asked the database yet, and that did not answer lately. Those
 * of an outage would be many, and each costs a time limit. */
static int is_in_vain(struct store_fetch *f, const struct flight *flight)
{
    pthread_mutex_lock(&f->lock);
    int in_vain = f->stopped || (!flight->waiters && clock_monotonic_ms() < f->db_rests_until_ms);
    pthread_mutex_unlock(&f->lock);
    return in_vain;
}

static void run_db(void *arg, struct workers *w)
{
    struct batch b = {.f = arg};
    void *flights[SHARED_BY];
    size_t count;
    struct error why;
    error_set(&why, -ENOTCONN, "is not on disk, and the database did not answer a moment ago");
    while ((count = workers_take_some(w, flights, SHARED_BY))) {
        int n = 0;
        for (size_t i = 0; i < count; i++) {
            if (is_in_vain(b.f, flights[i]))
                land(b.f, flights[i], NULL, NULL, &why);
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
    struct batch *b = arg;
    struct flight *flight = item;
    struct error rests;
    if (image) {
        metric_add(METRIC_reads, METRIC_tier_redis, METRIC_none, 1);
        if (refresh)
            redis_fill_refresh(b->f->redis_fill, image);
        land_found(b, flight, image, "redis");
        return;
    }
    metric_add(why->code == -ENOENT ? METRIC_read_misses : METRIC_read_errors, METRIC_tier_redis, METRIC_none, 1);
    int r = db_rests(b->f) ? -ENOTCONN : workers_push_now(b->f->db, flight);
    if (r == 0)
        return;
    error_set(&rests, r == -ENOTCONN ? r : -EAGAIN, "%s",
              r == -ENOTCONN ? "is neither on disk nor in Redis, and the database did not answer a moment ago"
                             : "has to wait for too many others");
    land(b->f, flight, NULL, NULL, &rests);
}

static void run_redis(void *arg, struct workers *w)
{
    struct batch b = {.f = arg};
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

/* Nobody boards any more. Returns the image if it is at hand. */
static struct image *depart(struct store_fetch *f, struct flight *flight)
{
    pthread_mutex_lock(&f->lock);
    close_flight(f, flight);
    pthread_mutex_unlock(&f->lock);
    return memo_find_filling(f->store->memo, &flight->key);
}

static void land_at_hand(struct store_fetch *f, struct flight *flight, struct image *image)
{
    metric_add(METRIC_reads, METRIC_tier_memory, METRIC_none, 1);
    land(f, flight, image, "memory", NULL);
}

/* The file is not there. 1: the image is being fetched already, and who waited waits for that; or it has just come, and
 * they have it. 0: it has to be fetched. */
static int joined_cold(struct store_fetch *f, struct flight *flight)
{
    struct flight *there;
    struct image *image = NULL;
    pthread_mutex_lock(&f->lock);
    HASH_FIND(hh, f->cold, flight->name, flight->name_len, there);
    if (there) {
        leave(f, flight);
        DL_CONCAT(there->waiters, flight->waiters);
    } else if (!(image = memo_find_filling(f->store->memo, &flight->key))) {
        leave(f, flight);
        enter(&f->cold, flight);
    }
    pthread_mutex_unlock(&f->lock);
    if (there) {
        metric_inc(METRIC_reads_joined);
        image_unref(flight->left);
        free(flight);
    }
    if (image)
        land_at_hand(f, flight, image);
    return there || image;
}

static void run_disk(void *arg, struct workers *w)
{
    struct store_fetch *f = arg;
    struct flight *flight;
    struct filestate state;
    struct image *image;
    struct error why;
    while ((flight = workers_take(w))) {
        struct image *at_hand = depart(f, flight); /* before the look at the disk: its end may come between */
        if (tier_disk_open(f->store->disk, &flight->key, &image, &state, &why) == 0) {
            image = store_hot_keep(f->store, image, &state);
            metric_add(METRIC_reads, METRIC_tier_disk, METRIC_none, 1);
            image_unref(at_hand);
            land(f, flight, image, "disk", NULL);
            continue;
        }
        if (at_hand) {
            land_at_hand(f, flight, at_hand);
            continue;
        }
        metric_add(METRIC_read_misses, METRIC_tier_disk, METRIC_none, 1);
        flight->left = store_hot_left(f->store, &flight->key);
        if (memo_is_absent(f->store->memo, &flight->key))
            error_set(&why, -ENOENT, "is not stored");
        else if (below(f) == f->db && db_rests(f))
            error_set(&why, -ENOTCONN, "is not on disk, and the database did not answer a moment ago");
        else if (joined_cold(f, flight) || workers_push_now(below(f), flight) == 0)
            continue;
        else
            error_set(&why, -EAGAIN, "has to wait for too many others");
        land(f, flight, NULL, NULL, &why);
    }
}

/* Patience */

/* Takes those waiters off a flight that have waited long enough. */
static void take_overdue(const struct store_fetch *f, struct flight *flight, int64_t now_ms, struct waiter **all)
{
    int64_t limit_ms = now_ms - FETCH_PATIENCE_MS, longest_ms = now_ms - FETCH_LONGEST_MS;
    while (flight->waiters &&
           (flight->waiters->since_us <= longest_ms * 1000 ||
            (flight->waiters->since_us <= limit_ms * 1000 && f->db_answered_ms <= limit_ms && !flight->linked))) {
        struct waiter *one = flight->waiters;
        one->left = flight->left ? image_ref(flight->left) : NULL;
        DL_DELETE(flight->waiters, one);
        DL_APPEND(*all, one);
    }
}

/* Those who wait for the database too long, and those whose image is on its way from elsewhere. */
struct overdue {
    struct waiter *all, *slow;
};

static void look_at(const struct store_fetch *f, struct flight *flight, int64_t now_ms, struct overdue *late)
{
    take_overdue(f, flight, now_ms, flight->linked ? &late->slow : &late->all);
}

static struct overdue overdue(struct store_fetch *f)
{
    struct overdue late = {NULL, NULL};
    struct flight *flight, *next;
    int64_t now_ms = clock_monotonic_ms();
    HASH_ITER (hh, f->flights, flight, next) {
        look_at(f, flight, now_ms, &late);
    }
    HASH_ITER (hh, f->cold, flight, next) {
        look_at(f, flight, now_ms, &late);
    }
    DL_FOREACH(f->closed, flight)
    {
        look_at(f, flight, now_ms, &late);
    }
    return late;
}

static void *run_patience(void *arg)
{
    struct store_fetch *f = arg;
    struct error why, slow;
    error_set(&why, -ETIMEDOUT, "is not on disk, and the database takes too long to answer");
    error_set(&slow, -ETIMEDOUT, "is on its way from object storage, which takes long");
    pthread_mutex_lock(&f->lock);
    while (!f->stopped) {
        struct timespec until = clock_timespec((clock_monotonic_ms() + FETCH_ROUND_MS) * 1000000);
        (void)pthread_cond_timedwait(&f->stop, &f->lock, &until);
        struct overdue late = overdue(f);
        if (late.all)
            f->db_rests_until_ms = clock_monotonic_ms() + DB_REST_MS;
        pthread_mutex_unlock(&f->lock);
        tell(late.all, NULL, NULL, &why);
        tell(late.slow, NULL, NULL, &slow);
        pthread_mutex_lock(&f->lock);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* In and out */

static struct flight *board(struct store_fetch *f, const struct image_key *key, int *ret_new)
{
    char name[IMAGE_NAME_SIZE];
    unsigned n = image_key_name(key, name);
    struct flight *flight;
    *ret_new = 0;
    HASH_FIND(hh, f->flights, name, n, flight);
    if (flight || HASH_COUNT(f->flights) + HASH_COUNT(f->cold) >= FLIGHTS_MAX)
        return flight;
    flight = calloc(1, sizeof *flight + n);
    if (!flight)
        return NULL;
    memcpy(flight->name, name, n);
    flight->name_len = n;
    flight->fetch = f;
    flight->key = image_key_named(flight->name);
    enter(&f->flights, flight);
    *ret_new = 1;
    return flight;
}

int store_fetch(struct store *store, const struct image_key *key, store_landed_fn *landed, void *arg)
{
    struct store_fetch *f = store->fetch;
    struct waiter *self = malloc(sizeof *self);
    int is_new;
    if (!self)
        return -ENOMEM;
    *self = (struct waiter){.landed = landed, .arg = arg, .since_us = clock_monotonic_us()};
    pthread_mutex_lock(&f->lock);
    struct flight *flight = f->stopped ? NULL : board(f, key, &is_new);
    if (flight)
        DL_APPEND(flight->waiters, self);
    pthread_mutex_unlock(&f->lock);
    if (!flight) {
        free(self);
        return -EAGAIN;
    }
    if (!is_new)
        metric_inc(METRIC_reads_joined);
    if (is_new && workers_push_now(f->disk, flight) < 0) {
        struct error why;
        error_set(&why, -EAGAIN, "has to wait for too many others");
        land(f, flight, NULL, NULL, &why);
    }
    return 0;
}

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
        r = workers_start(&f->disk, cores < 2 ? 2 : cores > 8 ? 8 : (int)cores, FLIGHTS_MAX, run_disk, f);
    if (r == 0)
        r = workers_start(&f->db, f->store->config->db_pool - 1, FLIGHTS_MAX, run_db, f);
    if (r == 0)
        r = workers_start(&f->objects, OBJECT_THREADS, FLIGHTS_MAX, run_objects, f);
    if (r == 0 && f->store->redis)
        r = redis_fill_start(&f->redis_fill, f->store);
    if (r == 0 && f->store->redis)
        r = workers_start(&f->redis, REDIS_THREADS, FLIGHTS_MAX, run_redis, f);
    if (r == 0)
        r = -pthread_create(&f->patience, NULL, run_patience, f);
    if (r == 0)
        return 0;
    if (f->disk)
        workers_finish(f->disk, NULL, NULL);
    stop_sources(f);
    return r;
}

struct store_fetch *store_fetch_new(struct store *store)
{
    struct store_fetch *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->store = store;
    f->stopped = 1;
    clock_cond_init(&f->stop);
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

void store_fetch_free(struct store_fetch *f)
{
    if (!f)
        return;
    pthread_cond_destroy(&f->stop);
    pthread_mutex_destroy(&f->lock);
    free(f);
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
        return error_set(e, r, "no threads: %s", strerror(-r));
    f->started = 1;
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
    while (is_flying(f) && r == 0)
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
