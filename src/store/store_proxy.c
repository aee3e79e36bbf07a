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
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "store/memo.h"
#include "store/proxy_flight.h"
#include "store/proxy_intake.h"
#include "store/store_hot.h"
#include "tier/tier_memory.h"
#include "tier/tier_redis.h"

#define DISK_THREADS   2
#define REDIS_THREADS  2
#define ORIGIN_THREADS 8 /* each origin's */

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
static void keep_no_more(struct store_proxy *p, const struct proxy_flight *flight)
{
    const struct store *store = p->store;
    if (!proxy_is_forgotten(p, flight))
        return;
    (void)tier_copies_expire(store->copies, &flight->key);
    if (store->memory)
        (void)tier_memory_drop(store->memory, &flight->key);
    if (store->redis)
        (void)tier_redis_drop(store->redis, &flight->key, NULL);
}

/* An image that could not be put on disk is kept in memory by a state that no file has. */
static void keep(struct store_proxy *p, const struct proxy_flight *flight, struct image *image, int kept_on_disk,
                 const struct filestate *state)
{
    static const struct filestate no_file;
    keep_in_memory(p->store, image, kept_on_disk < 0 ? &no_file : state);
    keep_no_more(p, flight);
}

/* The origin */

static void drop(struct store_proxy *p, const struct proxy_flight *flight)
{
    const struct store *store = p->store;
    (void)tier_copies_drop(store->copies, &flight->key);
    if (store->memory)
        (void)tier_memory_drop(store->memory, &flight->key);
    if (store->redis)
        (void)tier_redis_drop(store->redis, &flight->key, NULL);
}

/* What is no failure of the origin but of the image is not asked for again at once. */
static void fail(struct store_proxy *p, struct proxy_flight *flight, const struct error *why)
{
    int code = why->code;
    if (code == -ENOENT) {
        metric_add(METRIC_read_misses, METRIC_tier_origin, METRIC_none, 1);
        drop(p, flight);
        memo_add_useless(p->store->memo, &flight->key, code, flight->version);
        proxy_end(p, flight, why);
        return;
    }
    metric_add(METRIC_read_errors, METRIC_tier_origin, METRIC_none, 1);
    if (!store_proxy_is_passing(code) && code != -ENODEV) {
        memo_add_useless(p->store->memo, &flight->key, code, flight->version);
        log_event(LOG_WARN, "image of an origin not served", LOG_STR("collection", flight->key.collection),
                  LOG_STR("path", flight->key.path), LOG_STR("error", why->text));
    }
    proxy_end_stale(p, flight, why);
}

/* The copy is still right. */
static void confirm(struct store_proxy *p, struct proxy_flight *flight, int64_t asked_us)
{
    const struct found found = {flight->stale.tier, "REVALIDATED"};
    int is_on_disk = flight->copy_is == COPY_ON_DISK;
    struct filestate state;
    metric_inc(METRIC_revalidations);
    flight->copy->meta.checked_us = asked_us; /* nobody else has it yet */
    if (is_on_disk && tier_copies_confirm(flight->copy, &state) == 0)
        flight->copy = store_hot_keep(p->store, flight->copy, &state);
    proxy_land(p, flight, flight->copy, &found);
    keep_in_redis(p->store, flight->copy, clock_realtime_us() - asked_us);
    if (is_on_disk)
        keep_no_more(p, flight);
    else
        keep(p, flight, flight->copy, tier_copies_put(p->store->copies, flight->copy, NULL, &state, NULL), &state);
    proxy_end(p, flight, NULL);
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
static void take(struct store_proxy *p, struct proxy_flight *flight, struct proxy_intake *in, struct image *image,
                 int64_t fetch_us)
{
    const struct found found = {"origin", proxy_known(flight) ? "EXPIRED" : "MISS"};
    struct filestate state;
    int at_once = !image->bytes || store_has_room(p->store, image->meta.size);
    if (at_once)
        proxy_land(p, flight, image, &found);
    if (!proxy_is_forgotten(p, flight)) {
        int kept = proxy_intake_keep(in, image, &state, NULL);
        keep_in_redis(p->store, image, fetch_us);
        keep(p, flight, image, kept, &state);
    }
    proxy_intake_release(in);
    if (!at_once) {
        image = file_of(p, image);
        proxy_land(p, flight, image, &found);
    }
    image_unref(image);
    proxy_end(p, flight, NULL);
}

static void ask(struct store_proxy *p, struct proxy_flight *flight)
{
    struct proxy_intake in;
    struct tier_origin_answer answer;
    struct image *image;
    struct error why;
    const struct image *known = proxy_known(flight);
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

static void store_proxy_run_lane(void *arg, struct workers *w)
{
    const struct lane *lane = arg;
    struct store_proxy *p = lane->proxy;
    struct proxy_flight *flight;
    struct error why;
    while ((flight = workers_take(w))) {
        if (proxy_is_stopped(p)) {
            error_set(&why, -ECANCELED, "is not fetched any more: the service ends");
            proxy_end_stale(p, flight, &why);
        } else {
            ask(p, flight);
        }
    }
}

/* Redis and the disk */

static struct workers *lane_of(struct store_proxy *p, const char *collection)
{
    for (size_t i = 0; i < p->lanes_len; i++)
        if (strcmp(p->lanes[i].collection, collection) == 0)
            return p->lanes[i].workers;
    return NULL; /* nobody boards for a collection without an origin */
}

static void got_from_redis(void *arg, void *item, struct image *image, int refresh, const struct error *why)
{
    static const struct found found = {"redis", "MISS"};
    struct store_proxy *p = arg;
    struct proxy_flight *flight = item;
    struct filestate state;
    (void)refresh; /* the time to live ends, and the copy on disk stays */
    if (!image) {
        metric_add(why->code == -ENOENT ? METRIC_read_misses : METRIC_read_errors, METRIC_tier_redis, METRIC_none, 1);
    } else if (!store_proxy_is_fresh(p->store, image->meta.checked_us)) {
        metric_add(METRIC_read_misses, METRIC_tier_redis, METRIC_none, 1);
        proxy_set_copy(flight, image, COPY_IN_REDIS);
    } else {
        metric_add(METRIC_reads, METRIC_tier_redis, METRIC_none, 1);
        proxy_land(p, flight, image, &found);
        int r =
            proxy_is_forgotten(p, flight) ? -ECANCELED : tier_copies_put(p->store->copies, image, NULL, &state, NULL);
        keep(p, flight, image, r, &state);
        image_unref(image);
        proxy_end(p, flight, NULL);
        return;
    }
    proxy_push(p, lane_of(p, flight->key.collection), flight);
}

_Static_assert(offsetof(struct proxy_flight, key) == 0, "a tier takes flights for what their keys are");

static void store_proxy_run_redis(void *arg, struct workers *w)
{
    struct store_proxy *p = arg;
    void *flights[TIER_REDIS_READ_MAX];
    size_t count;
    while ((count = workers_take_some(w, flights, TIER_REDIS_READ_MAX)))
        tier_redis_read(p->store->redis, flights, (int)count, got_from_redis, p);
}

/* Whether there is no use in asking the origin now. */
static int is_in_vain(const struct store_proxy *p, const struct proxy_flight *flight, struct error *why)
{
    int code = memo_is_useless(p->store->memo, &flight->key);
    if (code)
        error_set(why, code, "%s",
                  code == -ENOENT ? "has no such image" : "had nothing a moment ago that can be served");
    else if (!tier_origin_is_up(p->store->origin, flight->key.collection))
        code = error_set(why, -EHOSTDOWN, "did not answer a moment ago");
    return code;
}

static void look_below(struct store_proxy *p, struct proxy_flight *flight)
{
    struct error why;
    int has_redis = p->redis && tier_redis_is_up(p->store->redis) && !proxy_known(flight);
    int code = is_in_vain(p, flight, &why);
    if (code && !(has_redis && code == -EHOSTDOWN))
        proxy_end_stale(p, flight, &why);
    else
        proxy_push(p, has_redis ? p->redis : lane_of(p, flight->key.collection), flight);
}

static void store_proxy_run_disk(void *arg, struct workers *w)
{
    static const struct found hit = {"disk", "HIT"};
    struct store_proxy *p = arg;
    struct proxy_flight *flight;
    struct filestate state;
    struct image *copy;
    while ((flight = workers_take(w))) {
        if (tier_copies_open(p->store->copies, &flight->key, &copy, &state, NULL) < 0) {
            metric_add(METRIC_read_misses, METRIC_tier_disk, METRIC_none, 1);
            copy = store_hot_left(p->store, &flight->key);
            if (copy)
                proxy_set_copy(flight, copy, COPY_LEFT);
            look_below(p, flight);
        } else if (store_proxy_is_fresh(p->store, copy->meta.checked_us)) {
            metric_add(METRIC_reads, METRIC_tier_disk, METRIC_none, 1);
            copy = store_hot_keep(p->store, copy, &state);
            proxy_land_and_end(p, flight, copy, &hit);
            image_unref(copy);
        } else {
            metric_add(METRIC_read_misses, METRIC_tier_disk, METRIC_none, 1);
            proxy_set_copy(flight, copy, COPY_ON_DISK);
            look_below(p, flight);
        }
    }
}

/* In and out */

static int64_t read_up(void *arg)
{
    const struct store_proxy *p = arg;
    for (size_t i = 0; i < p->lanes_len; i++)
        if (!tier_origin_is_up(p->store->origin, p->lanes[i].collection))
            return 0;
    return 1;
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
        r = workers_start(&p->lanes[i].workers, ORIGIN_THREADS, PROXY_FLIGHTS_MAX, store_proxy_run_lane, &p->lanes[i]);
    if (r == 0 && store->redis)
        r = workers_start(&p->redis, REDIS_THREADS, PROXY_FLIGHTS_MAX, store_proxy_run_redis, p);
    if (r == 0)
        r = workers_start(&p->disk, DISK_THREADS, PROXY_FLIGHTS_MAX, store_proxy_run_disk, p);
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
