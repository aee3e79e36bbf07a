/* The stages of a read of an origin's image (store/coalesce.h), in the order of store/order.h:
 *
 *     disk      a fresh copy is a HIT; a copy that is too old goes to the origin at once
 *     redis     a fresh copy is a MISS
 *     origin    MISS, EXPIRED, REVALIDATED, STALE, or the reason. Each origin has its own threads, so that a slow one
 *               delays no other
 *
 * The image is answered as soon as it is there; the same thread then puts it on disk, into memory and into Redis. Until
 * that is done, further reads get it from the flight, so that one image costs one question. A copy that is forgotten
 * meanwhile is not kept. */
#include "store/store_proxy.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "config/config.h"
#include "store/coalesce.h"
#include "store/negcache.h"
#include "store/order.h"
#include "store/pattern.h"
#include "store/proxy_intake.h"
#include "store/store_hot.h"
#include "store/store_tiers.h"
#include "tier/tier_memory.h"
#include "tier/tier_redis.h"

#define DISK_THREADS   2
#define REDIS_THREADS  2
#define ORIGIN_THREADS 8 /* each origin's */

enum stage { STAGE_DISK, STAGE_REDIS, STAGE_ORIGINS /* that of the first origin */ };

enum old_copy { OLD_LEFT /* in memory, of a file that is gone */, OLD_IN_REDIS, OLD_ON_DISK };

struct proxied {
    struct flight flight;
    struct image *old; /* a copy that is too old; NULL: none */
    enum old_copy old_is;
    uint64_t forgets; /* before anybody was asked */
};

#define FORGOTTEN_SLOTS 4096

struct store_proxy {
    struct store *store;
    /* When the images of a slot (image_key_hash) were forgotten last (clock_realtime_us). What was asked of an origin
     * before is too old wherever it is or comes to: what is on its way may be kept a moment after that. */
    atomic_llong forgotten_us[FORGOTTEN_SLOTS];
    struct coalesce reads;
    int started;
    struct coalesce_stage stages[];
};

int store_proxies(const struct store *store, const char *collection)
{
    return config_image_origin(store->config, collection) != NULL;
}

static atomic_llong *forgotten_us(struct store_proxy *p, const struct image_key *key)
{
    return &p->forgotten_us[image_key_hash(key) % FORGOTTEN_SLOTS];
}

/* A moment that lies ahead tells of a clock that was wrong. */
int store_proxy_is_fresh(const struct store *store, const struct image_key *key, int64_t checked_us)
{
    int64_t now_us = clock_realtime_us(), forgotten = *forgotten_us(store->proxy, key);
    return copy_is_fresh(checked_us, store->config->origin_ttl_s, now_us) &&
           (checked_us > forgotten || forgotten > now_us);
}

int store_proxy_is_passing(int code)
{
    return tier_origin_unavailable(code) || code == -EAGAIN || code == -ECANCELED || code == -ENOMEM || code == -ENOSPC;
}

/* The end */

/* There is a copy that is too old. Takes the reference. */
static void set_old(struct proxied *one, struct image *copy, enum old_copy is)
{
    image_unref(one->old);
    one->old = copy;
    one->old_is = is;
}

static const char *old_tier(const struct proxied *one)
{
    static const char *const tiers[] = {"memory", "redis", "disk"};
    return tiers[one->old_is];
}

/* What its origin is asked about, or NULL. What is left in memory is only for when it can't be asked. */
static struct image *known_copy(const struct proxied *one)
{
    return one->old_is == OLD_LEFT ? NULL : one->old;
}

/* There is no better answer: the copy that is too old, or why there is none. */
static void finish_stale(struct proxied *one, const struct error *why)
{
    const struct store_hit stale = {old_tier(one), "STALE"};
    if (one->old) {
        metric_inc(METRIC_stale);
        metric_add(METRIC_reads, metric_tier(stale.tier), METRIC_none, 1);
    } else if (why->code == -ENOENT) {
        metric_inc(METRIC_reads_absent);
    }
    coalesce_finish(&one->flight, one->old, &stale, why);
}

static void refuse(struct flight *flight, const struct error *why)
{
    finish_stale((struct proxied *)flight, why);
}

static void release(struct flight *flight)
{
    image_unref(((struct proxied *)flight)->old);
}

/* It was answered. */
static void finish(struct proxied *one)
{
    coalesce_finish(&one->flight, NULL, NULL, NULL);
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
static void keep_no_more(struct store_proxy *p, const struct proxied *one)
{
    const struct store *store = p->store;
    if (!coalesce_is_closed(&one->flight))
        return;
    (void)tier_copies_expire(store->copies, &one->flight.key);
    if (store->memory)
        (void)tier_memory_drop(store->memory, &one->flight.key);
    if (store->redis)
        (void)tier_redis_drop(store->redis, &one->flight.key, NULL);
}

/* An image that could not be put on disk is kept in memory by a state that no file has. */
static void keep(struct store_proxy *p, const struct proxied *one, struct image *image, int kept_on_disk,
                 const struct filestate *state)
{
    static const struct filestate no_file;
    keep_in_memory(p->store, image, kept_on_disk < 0 ? &no_file : state);
    keep_no_more(p, one);
}

/* The origin */

static void drop(struct store_proxy *p, const struct proxied *one)
{
    const struct store *store = p->store;
    (void)tier_copies_drop(store->copies, &one->flight.key);
    if (store->memory)
        (void)tier_memory_drop(store->memory, &one->flight.key);
    if (store->redis)
        (void)tier_redis_drop(store->redis, &one->flight.key, NULL);
}

/* What is no failure of the origin but of the image is not asked for again at once. */
static void fail(struct store_proxy *p, struct proxied *one, const struct error *why)
{
    int code = why->code;
    if (code == -ENOENT) {
        metric_add(METRIC_read_misses, METRIC_tier_origin, METRIC_none, 1);
        drop(p, one);
        negcache_add(p->store->negcache, &one->flight.key, code, one->forgets);
        metric_inc(METRIC_reads_absent);
        coalesce_finish(&one->flight, NULL, NULL, why);
        return;
    }
    metric_add(METRIC_read_errors, METRIC_tier_origin, METRIC_none, 1);
    if (!store_proxy_is_passing(code) && code != -ENODEV) {
        negcache_add(p->store->negcache, &one->flight.key, code, one->forgets);
        log_event(LOG_WARN, "image of an origin not served", LOG_STR("collection", one->flight.key.collection),
                  LOG_STR("path", one->flight.key.path), LOG_STR("error", why->text));
    }
    finish_stale(one, why);
}

/* The copy is still right. */
static void confirm(struct store_proxy *p, struct proxied *one, int64_t asked_us)
{
    const struct store_hit found = {old_tier(one), "REVALIDATED"};
    int is_on_disk = one->old_is == OLD_ON_DISK;
    struct filestate state;
    metric_inc(METRIC_revalidations);
    one->old->meta.checked_us = asked_us; /* nobody else has it yet */
    if (is_on_disk && tier_copies_confirm(one->old, &state) == 0)
        one->old = store_hot_keep(p->store, one->old, &state);
    coalesce_answer(&one->flight, one->old, &found);
    keep_in_redis(p->store, one->old, clock_realtime_us() - asked_us);
    if (is_on_disk)
        keep_no_more(p, one);
    else
        keep(p, one, one->old, tier_copies_put(p->store->copies, one->old, NULL, &state, NULL), &state);
    finish(one);
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
static void take(struct store_proxy *p, struct proxied *one, struct proxy_intake *in, struct image *image,
                 int64_t fetch_us)
{
    const struct store_hit found = {"origin", known_copy(one) ? "EXPIRED" : "MISS"};
    struct filestate state;
    int at_once = !image->bytes || store_has_room(p->store, image->meta.size);
    if (at_once)
        coalesce_answer(&one->flight, image, &found);
    if (!coalesce_is_closed(&one->flight)) {
        int kept = proxy_intake_keep(in, image, &state, NULL);
        keep_in_redis(p->store, image, fetch_us);
        keep(p, one, image, kept, &state);
    }
    proxy_intake_release(in);
    if (!at_once) {
        image = file_of(p, image);
        coalesce_answer(&one->flight, image, &found);
    }
    image_unref(image);
    finish(one);
}

static void ask(struct store_proxy *p, struct proxied *one)
{
    struct proxy_intake in;
    struct tier_origin_answer answer;
    struct image *image;
    struct error why;
    const struct image *known = known_copy(one);
    int64_t asked_us = clock_realtime_us();
    proxy_intake_init(&in, p->store->copies, &one->flight.key, p->store->config->max_upload_bytes);
    const struct tier_origin_taker taker = {proxy_intake_begin, proxy_intake_write, &in};
    int r = tier_origin_get(p->store->origin, &one->flight.key, known ? &known->meta : NULL, &taker, &answer, &why);
    if (r < 0 && in.why.code == r)
        why = in.why;
    if (r == 0 && !answer.not_modified)
        r = proxy_intake_image(&in, &answer, asked_us, &image, &why);
    if (r == 0)
        metric_add(METRIC_reads, METRIC_tier_origin, METRIC_none, 1);
    if (r == 0 && !answer.not_modified) {
        take(p, one, &in, image, clock_realtime_us() - asked_us);
        return;
    }
    proxy_intake_release(&in); /* it borrows from the flight, which ends now */
    if (r == 0)
        confirm(p, one, asked_us);
    else
        fail(p, one, &why);
}

static void run_origin(void *arg, void **flights, int count)
{
    struct store_proxy *p = arg;
    struct error why;
    error_set(&why, -ECANCELED, "is not fetched any more: the service ends");
    for (int i = 0; i < count; i++)
        if (p->reads.stopping)
            finish_stale(flights[i], &why);
        else
            ask(p, flights[i]);
}

/* Redis and the disk */

static int origin_stage(const struct store_proxy *p, const char *collection)
{
    const struct config *config = p->store->config;
    int i = 0;
    while (strcmp(config->image_origins[i].collection, collection) != 0)
        i++; /* there is one: store_proxies */
    return STAGE_ORIGINS + i;
}

static void got_from_redis(void *arg, void *item, struct image *image, int refresh, const struct error *why)
{
    static const struct store_hit found = {"redis", "MISS"};
    struct store_proxy *p = arg;
    struct proxied *one = item;
    struct filestate state;
    (void)refresh; /* the time to live ends, and the copy on disk stays */
    if (!image) {
        metric_add(why->code == -ENOENT ? METRIC_read_misses : METRIC_read_errors, METRIC_tier_redis, METRIC_none, 1);
    } else if (!store_proxy_is_fresh(p->store, &one->flight.key, image->meta.checked_us)) {
        metric_add(METRIC_read_misses, METRIC_tier_redis, METRIC_none, 1);
        set_old(one, image, OLD_IN_REDIS);
    } else {
        metric_add(METRIC_reads, METRIC_tier_redis, METRIC_none, 1);
        coalesce_answer(&one->flight, image, &found);
        int r = coalesce_is_closed(&one->flight) ? -ECANCELED
                                                 : tier_copies_put(p->store->copies, image, NULL, &state, NULL);
        keep(p, one, image, r, &state);
        image_unref(image);
        finish(one);
        return;
    }
    coalesce_pass(&one->flight, origin_stage(p, one->flight.key.collection));
}

_Static_assert(offsetof(struct proxied, flight.key) == 0, "a tier takes reads for what their keys are");

static void run_redis(void *arg, void **flights, int count)
{
    struct store_proxy *p = arg;
    tier_redis_read(p->store->redis, flights, count, got_from_redis, p);
}

/* Whether there is no use in asking the origin now. */
static int is_in_vain(const struct store_proxy *p, const struct proxied *one, struct error *why)
{
    int code = negcache_find(p->store->negcache, &one->flight.key);
    if (code)
        error_set(why, code, "%s",
                  code == -ENOENT ? "has no such image" : "had nothing a moment ago that can be served");
    else if (!tier_origin_is_up(p->store->origin, one->flight.key.collection))
        code = error_set(why, -EHOSTDOWN, "did not answer a moment ago");
    return code;
}

/* A copy on disk that is too old is younger than any in Redis. */
static void look_below(struct store_proxy *p, struct proxied *one)
{
    const char *collection = one->flight.key.collection;
    enum place next = order_after(p->store, collection, known_copy(one) ? PLACE_REDIS : PLACE_DISK);
    struct error why;
    int code = is_in_vain(p, one, &why);
    if (code && !(next == PLACE_REDIS && code == -EHOSTDOWN))
        finish_stale(one, &why);
    else
        coalesce_pass(&one->flight, next == PLACE_REDIS ? STAGE_REDIS : origin_stage(p, collection));
}

static void look_at_disk(struct store_proxy *p, struct proxied *one)
{
    static const struct store_hit hit = {"disk", "HIT"};
    const struct image_key *key = &one->flight.key;
    struct filestate state;
    struct image *copy;
    one->forgets = p->store->forgets;
    if (tier_copies_open(p->store->copies, key, &copy, &state, NULL) < 0) {
        metric_add(METRIC_read_misses, METRIC_tier_disk, METRIC_none, 1);
        copy = store_hot_left(p->store, key);
        if (copy)
            set_old(one, copy, OLD_LEFT);
        look_below(p, one);
    } else if (store_proxy_is_fresh(p->store, key, copy->meta.checked_us)) {
        metric_add(METRIC_reads, METRIC_tier_disk, METRIC_none, 1);
        copy = store_hot_keep(p->store, copy, &state);
        coalesce_finish(&one->flight, copy, &hit, NULL);
        image_unref(copy);
    } else {
        metric_add(METRIC_read_misses, METRIC_tier_disk, METRIC_none, 1);
        set_old(one, copy, OLD_ON_DISK);
        look_below(p, one);
    }
}

static void run_disk(void *arg, void **flights, int count)
{
    for (int i = 0; i < count; i++)
        look_at_disk(arg, flights[i]);
}

int store_proxy(struct store *store, const struct image_key *key, store_landed_fn *landed, void *arg)
{
    return coalesce_read(&store->proxy->reads, key, landed, arg);
}

/* Forgetting */

int store_proxy_forget(struct store *store, const struct image_key *key)
{
    if (!store_proxies(store, key->collection))
        return 0;
    *forgotten_us(store->proxy, key) = clock_realtime_us();
    coalesce_forget(&store->proxy->reads, key);
    return tier_copies_expire(store->copies, key);
}

static void note_forgotten(struct flight *flight)
{
    *forgotten_us(flight->engine->arg, &flight->key) = clock_realtime_us();
}

int store_proxy_forget_matching(struct store *store, const char *pattern)
{
    const struct config *config = store->config;
    int n = 0;
    coalesce_forget_matching(&store->proxy->reads, pattern_means_copy, pattern);
    for (size_t i = 0; i < config->image_origins_len; i++)
        n += tier_copies_expire_matching(store->copies, config->image_origins[i].collection, pattern_means_copy,
                                         pattern);
    return n;
}

/* Life */

static const struct coalesce_ops reads_ops = {
    .flight_size = sizeof(struct proxied), .release = release, .refuse = refuse, .forgotten = note_forgotten};

struct store_proxy *store_proxy_new(struct store *store)
{
    int stages = STAGE_ORIGINS + (int)store->config->image_origins_len;
    struct store_proxy *p = calloc(1, sizeof *p + (size_t)stages * sizeof p->stages[0]);
    if (!p)
        return NULL;
    p->store = store;
    p->stages[STAGE_DISK] =
        (struct coalesce_stage){.name = "copies-disk", .threads = DISK_THREADS, .batch_max = 1, .run = run_disk};
    p->stages[STAGE_REDIS] =
        (struct coalesce_stage){.name = "copies-redis", .batch_max = TIER_REDIS_READ_MAX, .run = run_redis};
    for (int i = STAGE_ORIGINS; i < stages; i++)
        p->stages[i] = (struct coalesce_stage){
            .name = "copies-origin", .threads = ORIGIN_THREADS, .batch_max = 1, .run = run_origin};
    p->reads = (struct coalesce){.ops = &reads_ops, .arg = p, .stages_len = stages, .stages = p->stages};
    coalesce_init(&p->reads);
    return p;
}

void store_proxy_free(struct store_proxy *p)
{
    if (!p)
        return;
    coalesce_destroy(&p->reads);
    free(p);
}

static int64_t read_up(void *arg)
{
    const struct store *store = ((struct store_proxy *)arg)->store;
    for (size_t i = 0; i < store->config->image_origins_len; i++)
        if (!tier_origin_is_up(store->origin, store->config->image_origins[i].collection))
            return 0;
    return 1;
}

int store_proxy_start(struct store *store, struct error *e)
{
    struct store_proxy *p = store->proxy;
    if (!store->config->image_origins_len)
        return 0;
    p->stages[STAGE_REDIS].threads = store->redis ? REDIS_THREADS : 0;
    tier_origin_cancel(store->origin, 0);
    int r = coalesce_start(&p->reads, COALESCE_NO_LIMITS);
    if (r < 0)
        return error_set(e, r, "no threads to ask origins with: %s", strerror(-r));
    p->started = 1;
    metric_reader(METRIC_tier_up, METRIC_tier_origin, METRIC_none, read_up, p);
    return 0;
}

void store_proxy_give_up(struct store *store)
{
    tier_origin_cancel(store->origin, 1);
}

int store_proxy_stop(struct store *store, int64_t deadline_ms)
{
    struct store_proxy *p = store->proxy;
    if (!p->started)
        return 0;
    store_proxy_give_up(store);
    int r = coalesce_stop(&p->reads, deadline_ms);
    if (r < 0)
        return r;
    metric_reader(METRIC_tier_up, METRIC_tier_origin, METRIC_none, NULL, p);
    coalesce_end(&p->reads);
    p->started = 0;
    return 0;
}
