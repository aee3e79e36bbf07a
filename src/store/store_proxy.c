/* One flight per image, however many ask for it:
 *
 *     store_proxy -> [ disk threads ] -> landed: HIT; or STALE, while the origin is left alone
 *                          | no copy                    | one that is too old
 *                    [ Redis threads ] -> landed        |
 *                          | not there, or too old      |
 *                    [ threads of the origin's own ] <--+ -> landed: MISS, EXPIRED, REVALIDATED, STALE, or why not
 *
 * The answer is given as soon as there is one, and the copy is put on disk, into memory and into Redis behind it, by
 * the same thread. Until that is done, who asks gets the image from the flight, so that one image costs one question.
 *
 * Each origin has threads of its own: one that is slow holds up nobody else. One lock is over all flights; nobody is
 * told anything while it is held. */
#include "store/store_proxy.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/workers.h"
#include "store/memo.h"
#include "store/proxy_intake.h"
#include "store/store_hot.h"
#include "store/store_tiers.h"
#include "tier/tier_memory.h"
#include "tier/tier_redis.h"

#define FLIGHTS_MAX    16384
#define DISK_THREADS   2
#define REDIS_THREADS  2
#define ORIGIN_THREADS 8           /* each origin's */
#define SMALL_MAX      (256 << 10) /* larger images are sent from memory only while there is room for more */
#define ROOM           (16 << 20)  /* beside the memory tier's */

struct waiter {
    store_proxied_fn *proxied;
    void *arg;
    int64_t since_us; /* clock_monotonic_us */
    struct waiter *prev, *next;
};

/* How an image was found. */
struct found {
    const char *tier, *status;
};

struct flight {
    struct image_key key; /* both inside name */
    struct waiter *waiters;
    struct image *copy; /* too old */
    struct found stale; /* what that would be */
    enum { COPY_LEFT /* in memory, of a file that is gone */, COPY_IN_REDIS, COPY_ON_DISK } copy_is;
    uint64_t version;    /* of the memo, before anybody was asked */
    struct image *image; /* that has landed, while it is put where it is kept */
    int is_stale;        /* it is the copy */
    int is_forgotten;    /* nobody boards any more, and nothing of it is kept */
    UT_hash_handle hh;
    unsigned name_len;
    char name[]; /* image_key_name */
};

struct lane {
    struct store_proxy *proxy;
    const char *collection;
    struct workers *workers;
};

struct store_proxy {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t landed; /* the last one did */
    int started, stopped;
    int flying;                   /* those that are forgotten included */
    struct flight *flights;       /* the others */
    struct workers *disk, *redis; /* redis NULL: none */
    size_t lanes_len;
    struct lane lanes[];
};

int store_proxies(const struct store *store, const char *collection)
{
    return config_image_origin(store->config, collection) != NULL;
}

int store_proxy_is_fresh(const struct store *store, int64_t checked_us)
{
    return copy_is_fresh(checked_us, store->config->origin_ttl_s, clock_realtime_us());
}

int store_proxy_is_passing(int code)
{
    return tier_origin_unavailable(code) || code == -EAGAIN || code == -ECANCELED || code == -ENOMEM || code == -ENOSPC;
}

/* Landing */

static void tell(struct waiter *waiters, struct image *image, const struct found *found, const struct error *why)
{
    while (waiters) {
        struct waiter *one = waiters;
        waiters = one->next;
        if (image)
            metric_observe(METRIC_read_seconds, metric_tier(found->tier), METRIC_none,
                           clock_monotonic_us() - one->since_us);
        one->proxied(one->arg, image ? image_ref(image) : NULL, image ? found->tier : NULL,
                     image ? found->status : NULL, why);
        free(one);
    }
}

/* All who wait have the image, and so has who asks until the flight ends. */
static void land(struct store_proxy *p, struct flight *flight, struct image *image, const struct found *found)
{
    pthread_mutex_lock(&p->lock);
    flight->image = image_ref(image);
    flight->is_stale = found == &flight->stale;
    struct waiter *waiters = flight->waiters;
    flight->waiters = NULL;
    pthread_mutex_unlock(&p->lock);
    tell(waiters, image, found, NULL);
}

/* Frees the flight; who waits still is told why. */
static void end(struct store_proxy *p, struct flight *flight, const struct error *why)
{
    pthread_mutex_lock(&p->lock);
    if (!flight->is_forgotten)
        HASH_DEL(p->flights, flight);
    if (--p->flying == 0)
        pthread_cond_broadcast(&p->landed);
    pthread_mutex_unlock(&p->lock);
    if (why && why->code == -ENOENT)
        metric_inc(METRIC_reads_absent);
    tell(flight->waiters, NULL, NULL, why);
    image_unref(flight->image);
    image_unref(flight->copy);
    free(flight);
}

static void land_and_end(struct store_proxy *p, struct flight *flight, struct image *image, const struct found *found)
{
    land(p, flight, image, found);
    end(p, flight, NULL);
}

/* There is no better answer: the copy that is too old, or why there is none. */
static void end_stale(struct store_proxy *p, struct flight *flight, const struct error *why)
{
    if (!flight->copy) {
        end(p, flight, why);
        return;
    }
    metric_inc(METRIC_stale);
    metric_add(METRIC_reads, metric_tier(flight->stale.tier), METRIC_none, 1);
    land_and_end(p, flight, flight->copy, &flight->stale);
}

static int is_forgotten(struct store_proxy *p, const struct flight *flight)
{
    pthread_mutex_lock(&p->lock);
    int yes = flight->is_forgotten;
    pthread_mutex_unlock(&p->lock);
    return yes;
}

static int is_stopped(struct store_proxy *p)
{
    pthread_mutex_lock(&p->lock);
    int yes = p->stopped;
    pthread_mutex_unlock(&p->lock);
    return yes;
}

/* Copies that are too old */

static void set_copy(struct flight *flight, struct image *copy, int is)
{
    static const char *const tiers[] = {"memory", "redis", "disk"};
    image_unref(flight->copy);
    flight->copy = copy;
    flight->copy_is = is;
    flight->stale = (struct found){tiers[is], "STALE"};
}

/* What the origin is asked about. What is left in memory is only for when it can't be asked. */
static struct image *known_of(const struct flight *flight)
{
    return flight->copy_is == COPY_LEFT ? NULL : flight->copy;
}

/* Keeping */

static void keep_in_memory(const struct store *store, struct image *image, const struct filestate *state)
{
    if (store->memory && image->bytes && image->meta.size <= tier_memory_image_max(store->memory))
        tier_memory_put(store->memory, image, image->meta.size, state);
}

static void keep_in_redis(const struct store *store, const struct image *image, int64_t fetch_us)
{
    if (store->redis && image->bytes && image->meta.size <= store->config->redis_max_bytes)
        (void)!tier_redis_put(store->redis, image, fetch_us, NULL);
}

/* Whoever has it forgotten meanwhile may have come before it was there. */
static void keep_no_more(struct store_proxy *p, const struct flight *flight)
{
    const struct store *store = p->store;
    if (!is_forgotten(p, flight))
        return;
    (void)tier_copies_expire(store->copies, &flight->key);
    if (store->memory)
        (void)tier_memory_drop(store->memory, &flight->key);
    if (store->redis)
        (void)tier_redis_drop(store->redis, &flight->key, NULL);
}

/* An image that could not be put on disk is kept in memory by a state that no file has. */
static void keep(struct store_proxy *p, const struct flight *flight, struct image *image, int kept_on_disk,
                 const struct filestate *state)
{
    static const struct filestate no_file;
    keep_in_memory(p->store, image, kept_on_disk < 0 ? &no_file : state);
    keep_no_more(p, flight);
}

/* The origin */

static void drop(struct store_proxy *p, const struct flight *flight)
{
    const struct store *store = p->store;
    (void)tier_copies_drop(store->copies, &flight->key);
    if (store->memory)
        (void)tier_memory_drop(store->memory, &flight->key);
    if (store->redis)
        (void)tier_redis_drop(store->redis, &flight->key, NULL);
}

/* What is no failure of the origin but of the image is not asked for again at once. */
static void fail(struct store_proxy *p, struct flight *flight, const struct error *why)
{
    int code = why->code;
    if (code == -ENOENT) {
        metric_add(METRIC_read_misses, METRIC_tier_origin, METRIC_none, 1);
        drop(p, flight);
        memo_add_useless(p->store->memo, &flight->key, code, flight->version);
        end(p, flight, why);
        return;
    }
    metric_add(METRIC_read_errors, METRIC_tier_origin, METRIC_none, 1);
    if (!store_proxy_is_passing(code) && code != -ENODEV) {
        memo_add_useless(p->store->memo, &flight->key, code, flight->version);
        log_event(LOG_WARN, "an origin's image can't be served", LOG_STR("collection", flight->key.collection),
                  LOG_STR("path", flight->key.path), LOG_STR("why", why->text));
    }
    end_stale(p, flight, why);
}

/* The copy is still right. */
static void confirm(struct store_proxy *p, struct flight *flight, int64_t asked_us)
{
    const struct found found = {flight->stale.tier, "REVALIDATED"};
    int is_on_disk = flight->copy_is == COPY_ON_DISK;
    struct filestate state;
    metric_inc(METRIC_revalidations);
    flight->copy->meta.checked_us = asked_us; /* nobody else has it yet */
    if (is_on_disk && tier_copies_confirm(p->store->copies, flight->copy, &state) == 0)
        flight->copy = store_hot_keep(p->store, flight->copy, &state);
    land(p, flight, flight->copy, &found);
    keep_in_redis(p->store, flight->copy, clock_realtime_us() - asked_us);
    if (is_on_disk)
        keep_no_more(p, flight);
    else
        keep(p, flight, flight->copy, tier_copies_put(p->store->copies, flight->copy, NULL, &state, NULL), &state);
    end(p, flight, NULL);
}

static int has_room(const struct store *store)
{
    return image_bytes_held() <= store->config->memory_bytes + ROOM;
}

/* Where slow clients would hold too much memory, they get the file. */
static struct image *file_of(struct store_proxy *p, struct image *image)
{
    struct filestate state;
    struct image *file;
    if (tier_copies_open(p->store->copies, &image->meta.key, &file, &state, NULL) < 0)
        return image;
    if (memcmp(file->meta.sha256, image->meta.sha256, sizeof image->meta.sha256) != 0) {
        image_unref(file);
        return image;
    }
    image_unref(image);
    return file;
}

/* A new image; releases the intake. */
static void take(struct store_proxy *p, struct flight *flight, struct proxy_intake *in, struct image *image,
                 int64_t fetch_us)
{
    const struct found found = {"origin", known_of(flight) ? "EXPIRED" : "MISS"};
    struct filestate state = {0};
    int is_small = !image->bytes || image->meta.size <= SMALL_MAX || has_room(p->store), r;
    if (is_small)
        land(p, flight, image, &found);
    if (is_forgotten(p, flight)) {
        r = -ECANCELED;
    } else {
        r = proxy_intake_keep(in, image, &state, NULL);
        keep_in_redis(p->store, image, fetch_us);
        keep(p, flight, image, r, &state);
    }
    proxy_intake_release(in);
    if (!is_small) {
        image = file_of(p, image);
        land(p, flight, image, &found);
    }
    image_unref(image);
    end(p, flight, NULL);
}

static void ask(struct store_proxy *p, struct flight *flight)
{
    struct proxy_intake in;
    struct tier_origin_answer answer;
    struct image *image;
    struct error why;
    const struct image *known = known_of(flight);
    int64_t asked_us = clock_realtime_us();
    proxy_intake_init(&in, p->store->copies, &flight->key, p->store->config->max_upload_bytes);
    const struct tier_origin_taker taker = {proxy_intake_begin, proxy_intake_write, &in};
    int r = tier_origin_get(p->store->origin, &flight->key, known ? &known->meta : NULL, &taker, &answer, &why);
    if (r < 0 && in.why.code == r)
        why = in.why;
    if (r == 0 && !answer.not_modified)
        r = proxy_intake_image(&in, &answer, asked_us, &image, &why);
    if (r == 0)
        metric_add(METRIC_reads, METRIC_tier_origin, METRIC_none, 1);
    if (r == 0 && !answer.not_modified) {
        take(p, flight, &in, image, clock_realtime_us() - asked_us);
        return;
    }
    proxy_intake_release(&in); /* it borrows from the flight, which ends now */
    if (r == 0)
        confirm(p, flight, asked_us);
    else
        fail(p, flight, &why);
}

static void run_lane(void *arg, struct workers *w)
{
    const struct lane *lane = arg;
    struct store_proxy *p = lane->proxy;
    struct flight *flight;
    struct error why;
    while ((flight = workers_take(w))) {
        if (is_stopped(p)) {
            error_set(&why, -ECANCELED, "is not fetched any more: the service ends");
            end_stale(p, flight, &why);
        } else {
            ask(p, flight);
        }
    }
}

/* Redis and the disk */

static void push(struct store_proxy *p, struct workers *to, struct flight *flight)
{
    struct error why;
    if (workers_push_now(to, flight) == 0)
        return;
    error_set(&why, -EAGAIN, "has to wait for too many others");
    end_stale(p, flight, &why);
}

static struct workers *lane_of(struct store_proxy *p, const char *collection)
{
    for (size_t i = 0; i < p->lanes_len; i++)
        if (strcmp(p->lanes[i].collection, collection) == 0)
            return p->lanes[i].workers;
    return NULL; /* nobody boards for a collection without an origin */
}

struct batch {
    struct store_proxy *p;
    struct flight *flights[TIER_REDIS_READ_MAX];
};

static void got_from_redis(void *arg, int index, struct image *image, int refresh, const struct error *why)
{
    static const struct found found = {"redis", "MISS"};
    const struct batch *b = arg;
    struct store_proxy *p = b->p;
    struct flight *flight = b->flights[index];
    struct filestate state;
    (void)refresh; /* the time to live ends, and the copy on disk stays */
    if (!image) {
        metric_add(why->code == -ENOENT ? METRIC_read_misses : METRIC_read_errors, METRIC_tier_redis, METRIC_none, 1);
    } else if (!store_proxy_is_fresh(p->store, image->meta.checked_us)) {
        metric_add(METRIC_read_misses, METRIC_tier_redis, METRIC_none, 1);
        set_copy(flight, image, COPY_IN_REDIS);
    } else {
        metric_add(METRIC_reads, METRIC_tier_redis, METRIC_none, 1);
        land(p, flight, image, &found);
        int r = is_forgotten(p, flight) ? -ECANCELED : tier_copies_put(p->store->copies, image, NULL, &state, NULL);
        keep(p, flight, image, r, &state);
        image_unref(image);
        end(p, flight, NULL);
        return;
    }
    push(p, lane_of(p, flight->key.collection), flight);
}

static void run_redis(void *arg, struct workers *w)
{
    struct batch b = {.p = arg};
    const struct image_key *keys[TIER_REDIS_READ_MAX];
    struct flight *flight;
    while ((flight = workers_take(w))) {
        int n = 0;
        for (; flight; flight = n < TIER_REDIS_READ_MAX ? workers_take_now(w) : NULL) {
            b.flights[n] = flight;
            keys[n++] = &flight->key;
        }
        tier_redis_read(b.p->store->redis, keys, n, got_from_redis, &b);
    }
}

/* Whether there is no use in asking the origin now. */
static int is_in_vain(const struct store_proxy *p, const struct flight *flight, struct error *why)
{
    int code = memo_is_useless(p->store->memo, &flight->key);
    if (code)
        error_set(why, code, "%s",
                  code == -ENOENT ? "has no such image" : "had nothing a moment ago that can be served");
    else if (!tier_origin_is_up(p->store->origin, flight->key.collection))
        code = error_set(why, -EHOSTDOWN, "did not answer a moment ago");
    return code;
}

static void look_below(struct store_proxy *p, struct flight *flight)
{
    struct error why;
    int has_redis = p->redis && tier_redis_is_up(p->store->redis) && !known_of(flight);
    int code = is_in_vain(p, flight, &why);
    if (code && !(has_redis && code == -EHOSTDOWN))
        end_stale(p, flight, &why);
    else
        push(p, has_redis ? p->redis : lane_of(p, flight->key.collection), flight);
}

static void run_disk(void *arg, struct workers *w)
{
    static const struct found hit = {"disk", "HIT"};
    struct store_proxy *p = arg;
    struct flight *flight;
    struct filestate state;
    struct image *copy;
    while ((flight = workers_take(w))) {
        if (tier_copies_open(p->store->copies, &flight->key, &copy, &state, NULL) < 0) {
            metric_add(METRIC_read_misses, METRIC_tier_disk, METRIC_none, 1);
            copy = store_hot_left(p->store, &flight->key);
            if (copy)
                set_copy(flight, copy, COPY_LEFT);
            look_below(p, flight);
        } else if (store_proxy_is_fresh(p->store, copy->meta.checked_us)) {
            metric_add(METRIC_reads, METRIC_tier_disk, METRIC_none, 1);
            copy = store_hot_keep(p->store, copy, &state);
            land_and_end(p, flight, copy, &hit);
            image_unref(copy);
        } else {
            metric_add(METRIC_read_misses, METRIC_tier_disk, METRIC_none, 1);
            set_copy(flight, copy, COPY_ON_DISK);
            look_below(p, flight);
        }
    }
}

/* Forgetting */

/* With the lock. Its end is its own. */
static void close_flight(struct store_proxy *p, struct flight *flight)
{
    HASH_DEL(p->flights, flight);
    flight->is_forgotten = 1;
}

int store_proxy_forget(struct store *store, const struct image_key *key)
{
    struct store_proxy *p = store->proxy;
    char name[IMAGE_NAME_SIZE];
    struct flight *flight;
    if (!store_proxies(store, key->collection))
        return 0;
    unsigned len = image_key_name(key, name);
    pthread_mutex_lock(&p->lock);
    HASH_FIND(hh, p->flights, name, len, flight);
    if (flight)
        close_flight(p, flight);
    pthread_mutex_unlock(&p->lock);
    return tier_copies_expire(store->copies, key);
}

/* An entity's name means none of these. */
static int is_meant(const struct image_key *key, const char *pattern)
{
    return (strncmp(pattern, "image:path:", strlen("image:path:")) == 0 || fnmatch(pattern, "image:path:", 0) == 0) &&
           memo_is_meant(key, pattern);
}

int store_proxy_forget_matching(struct store *store, const char *pattern)
{
    struct store_proxy *p = store->proxy;
    struct flight *flight, *next;
    int n = 0;
    pthread_mutex_lock(&p->lock);
    HASH_ITER (hh, p->flights, flight, next) {
        if (is_meant(&flight->key, pattern))
            close_flight(p, flight);
    }
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->lanes_len; i++)
        n += tier_copies_expire_matching(store->copies, p->lanes[i].collection, is_meant, pattern);
    return n;
}

/* In and out */

static struct flight *board(struct store_proxy *p, const struct image_key *key, int *ret_new)
{
    char name[IMAGE_NAME_SIZE];
    unsigned n = image_key_name(key, name);
    struct flight *flight;
    HASH_FIND(hh, p->flights, name, n, flight);
    *ret_new = !flight;
    if (flight || p->flying >= FLIGHTS_MAX)
        return flight;
    flight = calloc(1, sizeof *flight + n);
    if (!flight)
        return NULL;
    memcpy(flight->name, name, n);
    flight->name_len = n;
    flight->key = image_key_named(flight->name);
    flight->version = memo_version(p->store->memo);
    HASH_ADD(hh, p->flights, name[0], flight->name_len, flight);
    p->flying++;
    return flight;
}

/* For who comes when the image is at hand already, and nobody is asked for him. */
static struct found found_later(const struct flight *flight)
{
    if (flight->is_stale)
        return flight->stale;
    return (struct found){flight->image->bytes ? "memory" : "disk", "HIT"};
}

int store_proxy(struct store *store, const struct image_key *key, store_proxied_fn *proxied, void *arg)
{
    struct store_proxy *p = store->proxy;
    struct waiter *self = malloc(sizeof *self);
    struct image *image = NULL;
    struct found found = {0};
    int is_new = 0;
    if (!self)
        return -ENOMEM;
    *self = (struct waiter){.proxied = proxied, .arg = arg, .since_us = clock_monotonic_us()};
    pthread_mutex_lock(&p->lock);
    struct flight *flight = p->stopped ? NULL : board(p, key, &is_new);
    if (flight && flight->image) {
        image = image_ref(flight->image);
        found = found_later(flight);
    } else if (flight) {
        DL_APPEND(flight->waiters, self);
    }
    pthread_mutex_unlock(&p->lock);
    if (!flight) {
        free(self);
        return -EAGAIN;
    }
    if (!is_new)
        metric_inc(METRIC_reads_joined);
    if (image) {
        tell(self, image, &found, NULL);
        image_unref(image);
    } else if (is_new) {
        push(p, p->disk, flight);
    }
    return 0;
}

static int64_t read_up(void *arg)
{
    const struct store_proxy *p = arg;
    for (size_t i = 0; i < p->lanes_len; i++)
        if (!tier_origin_is_up(p->store->origin, p->lanes[i].collection))
            return 0;
    return 1;
}

struct store_proxy *store_proxy_new(struct store *store)
{
    size_t lanes = store->config->image_origins_len;
    struct store_proxy *p = calloc(1, sizeof *p + lanes * sizeof p->lanes[0]);
    if (!p)
        return NULL;
    p->store = store;
    p->stopped = 1;
    for (; p->lanes_len < lanes; p->lanes_len++)
        p->lanes[p->lanes_len] = (struct lane){p, store->config->image_origins[p->lanes_len].collection, NULL};
    clock_cond_init(&p->landed);
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void store_proxy_free(struct store_proxy *p)
{
    if (!p)
        return;
    pthread_cond_destroy(&p->landed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* Nobody flies any more. */
static void end_threads(struct store_proxy *p)
{
    if (p->disk)
        workers_finish(p->disk, NULL, NULL);
    if (p->redis)
        workers_finish(p->redis, NULL, NULL);
    for (size_t i = 0; i < p->lanes_len; i++) {
        if (p->lanes[i].workers)
            workers_finish(p->lanes[i].workers, NULL, NULL);
        p->lanes[i].workers = NULL;
    }
    p->disk = p->redis = NULL;
}

int store_proxy_start(struct store *store, struct error *e)
{
    struct store_proxy *p = store->proxy;
    int r = 0;
    if (!p->lanes_len)
        return 0;
    for (size_t i = 0; i < p->lanes_len && r == 0; i++)
        r = workers_start(&p->lanes[i].workers, ORIGIN_THREADS, FLIGHTS_MAX, run_lane, &p->lanes[i]);
    if (r == 0 && store->redis)
        r = workers_start(&p->redis, REDIS_THREADS, FLIGHTS_MAX, run_redis, p);
    if (r == 0)
        r = workers_start(&p->disk, DISK_THREADS, FLIGHTS_MAX, run_disk, p);
    if (r < 0) {
        end_threads(p);
        return error_set(e, r, "no threads to ask origins with: %s", strerror(-r));
    }
    tier_origin_cancel(store->origin, 0);
    pthread_mutex_lock(&p->lock);
    p->started = 1;
    p->stopped = 0;
    pthread_mutex_unlock(&p->lock);
    metric_reader(METRIC_tier_up, METRIC_tier_origin, METRIC_none, read_up, p);
    return 0;
}

void store_proxy_give_up(struct store *store)
{
    tier_origin_cancel(store->origin, 1);
}

int store_proxy_stop(struct store *store, int64_t deadline_ms)
{
    struct timespec until = clock_timespec(deadline_ms * 1000000);
    struct store_proxy *p = store->proxy;
    int r = 0;
    if (!p->started)
        return 0;
    store_proxy_give_up(store);
    pthread_mutex_lock(&p->lock);
    p->stopped = 1;
    while (p->flying && r == 0)
        r = pthread_cond_timedwait(&p->landed, &p->lock, &until);
    pthread_mutex_unlock(&p->lock);
    if (r)
        return -ETIMEDOUT;
    metric_reader(METRIC_tier_up, METRIC_tier_origin, METRIC_none, NULL, p);
    end_threads(p);
    p->started = 0;
    return 0;
}
