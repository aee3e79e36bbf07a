#include "store/fetch_flight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "client/db_fault.h"
#include "store/memo.h"
#include "tier/tier_disk.h"

#define SOURCE_MS         1500
#define SOURCE_LONGEST_MS 20000 /* even where others are served: the queue is too long */
#define OBJECT_MS         5000  /* without a byte */
#define OBJECT_LONGEST_MS 20000
#define DISK_MS           60000
#define DISK_BYTES_PER_MS 1000 /* of what is being hashed */
#define DISK_LONGEST_MS   600000
#define ROUND_MS          100
#define ROUND_LONGEST_MS  200 /* a round that took longer found no processor */

struct fetch_waiter {
    store_landed_fn *landed;
    void *arg;
    int64_t since_us;   /* clock_monotonic_us */
    int64_t stage_ms;   /* the fetch's clock_ms when its flight's stage began, or it joined */
    struct image *left; /* its flight's, once it has waited too long */
    struct fetch_waiter *prev, *next;
};

/* Landing */

static void tell(struct fetch_waiter *waiters, struct image *image, const char *tier, const struct error *why)
{
    while (waiters) {
        struct fetch_waiter *one = waiters;
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
static void leave(struct store_fetch *f, struct fetch_flight *flight)
{
    if (flight->table)
        HASH_DEL(*flight->table, flight);
    else
        DL_DELETE(f->closed, flight);
}

static void close_flight(struct store_fetch *f, struct fetch_flight *flight)
{
    leave(f, flight);
    flight->table = NULL;
    DL_APPEND(f->closed, flight);
}

static void enter_stage(const struct store_fetch *f, struct fetch_flight *flight, enum flight_stage stage)
{
    struct fetch_waiter *one;
    flight->stage = stage;
    DL_FOREACH(flight->waiters, one)
    {
        one->stage_ms = f->clock_ms;
    }
}

static void enter(struct fetch_flight **table, struct fetch_flight *flight)
{
    HASH_ADD(hh, *table, name[0], flight->name_len, flight);
    flight->table = table;
}

void flight_disk_answers(struct store_fetch *f)
{
    atomic_store(&f->disk_answered_ms, atomic_load(&f->clock_ms));
}

void flight_enter(struct store_fetch *f, struct fetch_flight *flight, enum flight_stage stage)
{
    pthread_mutex_lock(&f->lock);
    enter_stage(f, flight, stage);
    pthread_mutex_unlock(&f->lock);
}

int flight_any(const struct store_fetch *f)
{
    return f->flights || f->cold || f->closed;
}

void flight_land(struct store_fetch *f, struct fetch_flight *flight, struct image *image, const char *tier,
                 const struct error *why)
{
    pthread_mutex_lock(&f->lock);
    leave(f, flight);
    if (f->stopped && !flight_any(f))
        pthread_cond_broadcast(&f->stop);
    pthread_mutex_unlock(&f->lock);
    if (!image && why->code == -ENOENT)
        metric_inc(METRIC_reads_absent);
    if (!image && (db_fault_http(why->code) == 503 || store_unavailable(why->code))) {
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

void flight_land_at_hand(struct store_fetch *f, struct fetch_flight *flight, struct image *image)
{
    metric_add(METRIC_reads, METRIC_tier_memory, METRIC_none, 1);
    flight_land(f, flight, image, "memory", NULL);
}

void flight_push(struct store_fetch *f, struct workers *to, struct fetch_flight *flight)
{
    struct error why;
    if (workers_push_now(to, flight) == 0)
        return;
    error_set(&why, -EAGAIN, "has to wait for too many others");
    flight_land(f, flight, NULL, NULL, &why);
}

/* In */

static struct fetch_flight *board(struct store_fetch *f, const struct image_key *key, int *ret_new)
{
    char name[IMAGE_NAME_SIZE];
    unsigned n = image_key_name(key, name);
    struct fetch_flight *flight;
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
    struct fetch_waiter *self = malloc(sizeof *self);
    int is_new;
    if (!self)
        return -ENOMEM;
    *self = (struct fetch_waiter){.landed = landed, .arg = arg, .since_us = clock_monotonic_us()};
    pthread_mutex_lock(&f->lock);
    struct fetch_flight *flight = f->stopped ? NULL : board(f, key, &is_new);
    if (flight) {
        self->stage_ms = f->clock_ms;
        DL_APPEND(flight->waiters, self);
    }
    pthread_mutex_unlock(&f->lock);
    if (!flight) {
        free(self);
        return -EAGAIN;
    }
    if (!is_new)
        metric_inc(METRIC_reads_joined);
    if (is_new)
        flight_push(f, f->disk, flight);
    return 0;
}

struct image *flight_depart(struct store_fetch *f, struct fetch_flight *flight)
{
    pthread_mutex_lock(&f->lock);
    close_flight(f, flight);
    pthread_mutex_unlock(&f->lock);
    return memo_find_filling(f->store->memo, &flight->key);
}

int flight_join(struct store_fetch *f, struct fetch_flight *flight)
{
    struct fetch_flight *there;
    struct image *image = NULL;
    pthread_mutex_lock(&f->lock);
    HASH_FIND(hh, f->cold, flight->name, flight->name_len, there);
    if (there) {
        leave(f, flight);
        enter_stage(f, flight, there->stage);
        DL_CONCAT(there->waiters, flight->waiters);
    } else if (!(image = memo_find_filling(f->store->memo, &flight->key))) {
        leave(f, flight);
        enter_stage(f, flight, FLIGHT_SOURCE);
        enter(&f->cold, flight);
    }
    pthread_mutex_unlock(&f->lock);
    if (there) {
        metric_inc(METRIC_reads_joined);
        image_unref(flight->left);
        free(flight);
    }
    if (image)
        flight_land_at_hand(f, flight, image);
    return there || image;
}

/* Forgetting */

void store_fetch_forget(struct store_fetch *f, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    struct fetch_flight *flight;
    unsigned len = image_key_name(key, name);
    pthread_mutex_lock(&f->lock);
    HASH_FIND(hh, f->cold, name, len, flight);
    if (flight)
        close_flight(f, flight);
    pthread_mutex_unlock(&f->lock);
}

void store_fetch_forget_matching(struct store_fetch *f, const char *pattern)
{
    struct fetch_flight *flight, *next;
    pthread_mutex_lock(&f->lock);
    HASH_ITER (hh, f->cold, flight, next) {
        if (memo_is_meant(&flight->key, pattern))
            close_flight(f, flight);
    }
    pthread_mutex_unlock(&f->lock);
}

/* Patience */

static int64_t later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Of a waiter whose limit began at this time. */
static int is_overdue(const struct store_fetch *f, const struct fetch_flight *flight, int64_t since_ms, int64_t disk_ms)
{
    int64_t waited_ms = f->clock_ms - since_ms;
    switch (flight->stage) {
    case FLIGHT_DISK:
        return f->clock_ms - later_of(since_ms, f->disk_answered_ms) >= disk_ms || waited_ms >= DISK_LONGEST_MS;
    case FLIGHT_OBJECT:
        return f->clock_ms - later_of(since_ms, flight->came_ms) >= OBJECT_MS || waited_ms >= OBJECT_LONGEST_MS;
    default:
        return (!f->fills && f->clock_ms - later_of(since_ms, f->db_answered_ms) >= SOURCE_MS) ||
               waited_ms >= SOURCE_LONGEST_MS;
    }
}

/* Takes those waiters off their flights that have waited long enough, by what they waited for. */
struct overdue {
    int64_t disk_ms;
    struct fetch_waiter *of[FLIGHT_OBJECT + 1];
};

static void look_at(const struct store_fetch *f, struct fetch_flight *flight, struct overdue *late)
{
    int64_t came = atomic_load(&flight->came);
    if (came != flight->came_seen) {
        flight->came_seen = came;
        flight->came_ms = f->clock_ms;
    }
    while (flight->waiters && is_overdue(f, flight, flight->waiters->stage_ms, late->disk_ms)) {
        struct fetch_waiter *one = flight->waiters;
        one->left = flight->left ? image_ref(flight->left) : NULL;
        DL_DELETE(flight->waiters, one);
        DL_APPEND(late->of[flight->stage], one);
    }
}

static struct overdue overdue(struct store_fetch *f)
{
    struct overdue late = {.disk_ms = DISK_MS + tier_disk_hashing(f->store->disk) / DISK_BYTES_PER_MS};
    struct fetch_flight *flight, *next;
    HASH_ITER (hh, f->flights, flight, next) {
        look_at(f, flight, &late);
    }
    HASH_ITER (hh, f->cold, flight, next) {
        look_at(f, flight, &late);
    }
    DL_FOREACH(f->closed, flight)
    {
        look_at(f, flight, &late);
    }
    return late;
}

void flight_time_passes(struct store_fetch *f, int64_t ms)
{
    static const char *const reasons[] = {
        [FLIGHT_DISK] = "cannot be read: the disk does not respond",
        [FLIGHT_SOURCE] = "is not on disk, and the database takes too long to answer",
        [FLIGHT_OBJECT] = "is on its way from object storage, which takes long",
    };
    pthread_mutex_lock(&f->lock);
    f->clock_ms += ms;
    struct overdue late = overdue(f);
    if (late.of[FLIGHT_SOURCE])
        f->db_rests_until_ms = clock_monotonic_ms() + DB_REST_MS;
    int news = late.of[FLIGHT_DISK] && f->disk_told_ms <= f->disk_answered_ms;
    if (late.of[FLIGHT_DISK])
        f->disk_told_ms = f->clock_ms;
    pthread_mutex_unlock(&f->lock);
    if (news)
        log_event(LOG_WARN, "disk not responding", LOG_STR("error", "reads of files have not ended for a minute"));
    for (int stage = 0; stage <= FLIGHT_OBJECT; stage++) {
        struct error why;
        error_set(&why, -ETIMEDOUT, "%s", reasons[stage]);
        tell(late.of[stage], NULL, NULL, &why);
    }
}

void *flight_patience(void *arg)
{
    struct store_fetch *f = arg;
    int64_t last_ms = clock_monotonic_ms();
    pthread_mutex_lock(&f->lock);
    while (!f->stopped) {
        struct timespec until = clock_timespec((clock_monotonic_ms() + ROUND_MS) * 1000000);
        (void)pthread_cond_timedwait(&f->stop, &f->lock, &until);
        pthread_mutex_unlock(&f->lock);
        int64_t now_ms = clock_monotonic_ms(), passed_ms = now_ms - last_ms;
        last_ms = now_ms;
        flight_time_passes(f, passed_ms < ROUND_LONGEST_MS ? passed_ms : ROUND_LONGEST_MS);
        pthread_mutex_lock(&f->lock);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
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
