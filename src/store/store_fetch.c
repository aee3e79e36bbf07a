/* Reading stored images without waiting (store/coalesce.h). The stages, in the order of store/order.h:
 *
 *     disk      the file, if it is there
 *     redis     reads that wait together share a round trip; then the disk is filled
 *     db        reads that wait together share a connection; then disk and Redis are filled
 *     objects   if the row only names an object: one transfer, into a file that is compared and then published
 *
 * A read is CLOSED while the disk is looked at, because the file may change meanwhile. Behind the disk, all reads of an
 * image are SHARED. An image is answered before its file is written; until then it stays at hand, so that reads that
 * find no file get it without asking the database again. When many large images are in progress they are answered as
 * files, so that slow clients hold no memory.
 *
 * How long a waiter waits:
 *
 *     disk               60 s after the disk last did anything (and 1 s for each MB that is being hashed); 10 minutes
 *                        in all
 *     Redis, database    1.5 s after the database last answered anything; 20 s in all
 *     objects            5 s after the last byte came; 20 s in all */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "client/db_fault.h"
#include "config/config.h"
#include "store/coalesce.h"
#include "store/inflight.h"
#include "store/negcache.h"
#include "store/order.h"
#include "store/pattern.h"
#include "store/redis_fill.h"
#include "store/store_fill.h"
#include "store/store_hot.h"
#include "store/store_object.h"
#include "store/store_tiers.h"
#include "tier/tier_db.h"
#include "tier/tier_disk.h"
#include "tier/tier_redis.h"

#define REDIS_THREADS     2
#define OBJECT_THREADS    8
#define DISK_BYTES_PER_MS 1000 /* of what is being hashed */
#define DB_REST_MS        1000 /* no reads for a database that did not answer */

enum stage { STAGE_DISK, STAGE_REDIS, STAGE_DB, STAGE_OBJECTS, STAGES };
enum limit { LIMIT_DISK, LIMIT_SOURCE, LIMIT_OBJECT, LIMITS };

static const struct coalesce_limit limits[LIMITS] = {
    [LIMIT_DISK] = {60000, 600000, "cannot be read: the disk does not respond"},
    [LIMIT_SOURCE] = {1500, 20000, "is not on disk, and the database takes too long to answer"},
    [LIMIT_OBJECT] = {5000, 20000, "is on its way from object storage, which takes long"},
};

struct fetch {
    struct flight flight;
    struct image *image;  /* of a large one, while its file is written */
    struct image *linked; /* the row, when its bytes are elsewhere */
    uint64_t mark;        /* of the disk, before that row was read */
    const char *tier;     /* where the image was found */
};

struct store_fetch {
    struct store *store;
    struct coalesce reads;
    struct coalesce_stage stages[STAGES];
    struct coalesce_clock clocks[LIMITS];
    int started;
    atomic_llong db_rests_until_ms;
    atomic_llong disk_told_ms; /* when it was logged last that it does not respond, by the clock of the limits */
    struct fill *fill;
    struct redis_fill *redis_fill; /* NULL: none */
};

/* Of reads that ask Redis, or the database, together. */
struct fetch_batch {
    struct store_fetch *f;
    uint64_t forgets, mark; /* before it was asked: of the store, of the disk */
    struct redis_fill_since since;
};

static struct store_fetch *fetch_of(const struct fetch *one)
{
    return one->flight.engine->arg;
}

void store_fetch_share(struct store_fetch *f, const struct image_meta *row, const struct redis_fill_since *since)
{
    if (f->redis_fill)
        redis_fill_share(f->redis_fill, row, since);
}

/* The end */

/* Takes the reference. */
static void finish(struct fetch *one, struct image *image, const char *tier, const struct error *why)
{
    struct store_hit found = {tier, NULL};
    if (!image && why->code == -ENOENT)
        metric_inc(METRIC_reads_absent);
    if (!image && one->flight.left && (db_fault_http(why->code) == 503 || store_unavailable(why->code))) {
        image = image_ref(one->flight.left);
        found.tier = "memory";
    }
    coalesce_finish(&one->flight, image, &found, why);
    image_unref(image);
}

static void refuse(struct flight *flight, const struct error *why)
{
    finish((struct fetch *)flight, NULL, NULL, why);
}

static void release(struct flight *flight)
{
    image_unref(((struct fetch *)flight)->linked);
}

/* The file of a large image is there, or can't be. */
static void finish_file(void *arg)
{
    struct fetch *one = arg;
    struct store_fetch *f = fetch_of(one);
    struct image *image = one->image, *file;
    if (tier_disk_open(f->store->disk, &one->flight.key, &file, NULL, NULL) == 0 &&
        memcmp(file->meta.sha256, image->meta.sha256, sizeof file->meta.sha256) == 0) {
        image_unref(image);
        image = file;
    }
    coalesce_moved(&f->reads, LIMIT_DISK);
    finish(one, image, one->tier, NULL);
}

static void end_inflight(void *arg)
{
    inflight_end(arg);
}

static struct image *find_inflight(struct flight *flight)
{
    return inflight_find(((struct store_fetch *)flight->engine->arg)->store->inflight, &flight->key);
}

/* Before a source is asked. */
static void mark(struct fetch_batch *b)
{
    b->forgets = b->f->store->forgets;
    b->mark = tier_disk_epoch(b->f->store->disk);
    if (b->f->redis_fill)
        b->since = redis_fill_now(b->f->store);
}

/* Puts the image on disk and keeps it at hand until it is there, unless what was stored since the database was asked
 * may be this very image: without memory, too, it is read once more. 0, or -EAGAIN: too many wait for the disk. */
static int fill(const struct fetch_batch *b, struct image *image)
{
    struct inflight_image *one = inflight_begin(b->f->store->inflight, image, b->forgets);
    int r = one ? fill_later(b->f->fill, image, b->mark, FILL_IF_ROOM, end_inflight, one) : 0;
    if (r < 0)
        end_inflight(one);
    return r;
}

/* This thread of the database or of Redis waits for the disk, and meanwhile can't answer others. */
static void fill_surely(const struct fetch_batch *b, struct fetch *one, struct image *image)
{
    struct store_fetch *f = b->f;
    struct coalesce_clock *source = &f->clocks[LIMIT_SOURCE];
    coalesce_enter(&one->flight, LIMIT_DISK);
    source->held++;
    (void)fill_later(f->fill, image, b->mark, FILL_SURELY, finish_file, one);
    if (--source->held == 0)
        coalesce_moved(&f->reads, LIMIT_SOURCE);
}

static void finish_found(const struct fetch_batch *b, struct fetch *one, struct image *image, const char *tier)
{
    int small = image->meta.size <= STORE_SMALL_MAX;
    if (store_has_room(b->f->store, image->meta.size) && (fill(b, image) == 0 || small)) {
        finish(one, image, tier, NULL);
        return;
    }
    one->image = image;
    one->tier = tier;
    fill_surely(b, one, image);
}

static void finish_verified(const struct fetch_batch *b, struct fetch *one, struct image *image)
{
    struct error why;
    if (image_verify(&image->meta, image->bytes, (size_t)image->meta.size, &why) < 0) {
        image_unref(image);
        finish(one, NULL, NULL, &why);
        return;
    }
    if (b->f->redis_fill)
        redis_fill_put(b->f->redis_fill, image, &b->since);
    finish_found(b, one, image, "db");
}

/* Objects */

static void run_objects(void *arg, void **flights, int count)
{
    struct store_fetch *f = arg;
    for (int i = 0; i < count; i++) {
        struct fetch *one = flights[i];
        struct image *image = NULL;
        struct error why;
        int r =
            store_fetch_linked(f->store, one->linked, one->mark, &one->flight.came, &f->reads.stopping, &image, &why);
        metric_add(r == 0 ? METRIC_reads : METRIC_read_errors, METRIC_tier_db, METRIC_none, 1);
        finish(one, image, "db", &why);
    }
}

/* The database */

static int db_rests(struct store_fetch *f)
{
    return clock_monotonic_ms() < f->db_rests_until_ms;
}

static void let_db_rest(struct store_fetch *f)
{
    atomic_store(&f->db_rests_until_ms, clock_monotonic_ms() + DB_REST_MS);
}

static void got_from_db(void *arg, void *item, struct image *image, const struct error *why)
{
    struct fetch_batch *b = arg;
    struct fetch *one = item;
    if (image || !db_unavailable(why->code))
        coalesce_moved(&b->f->reads, LIMIT_SOURCE);
    if (image && image_is_linked(image)) {
        one->linked = image;
        one->mark = b->mark;
        coalesce_pass(&one->flight, STAGE_OBJECTS);
        return;
    }
    if (image) {
        metric_add(METRIC_reads, METRIC_tier_db, METRIC_none, 1);
        finish_verified(b, one, image);
        return;
    }
    metric_add(why->code == -ENOENT ? METRIC_read_misses : METRIC_read_errors, METRIC_tier_db, METRIC_none, 1);
    if (why->code == -ENOENT)
        negcache_add(b->f->store->negcache, &one->flight.key, -ENOENT, b->forgets);
    else if (db_unavailable(why->code))
        let_db_rest(b->f);
    finish(one, NULL, NULL, why);
}

/* Whether a read is not worth asking the database for: its waiters have gone, and the database did not answer lately.
 * An outage leaves many of these, and each would cost a time limit. */
static int is_in_vain(struct store_fetch *f, struct fetch *one)
{
    return f->reads.stopping || (db_rests(f) && !coalesce_has_waiters(&one->flight));
}

_Static_assert(offsetof(struct fetch, flight.key) == 0, "a tier takes reads for what their keys are");

static void run_db(void *arg, void **flights, int count)
{
    struct fetch_batch b = {.f = arg};
    struct error why;
    int n = 0;
    error_set(&why, -ENOTCONN, "is not on disk, and the database did not answer a moment ago");
    for (int i = 0; i < count; i++) {
        if (is_in_vain(b.f, flights[i]))
            finish(flights[i], NULL, NULL, &why);
        else
            flights[n++] = flights[i];
    }
    mark(&b);
    if (n)
        tier_db_read(b.f->store->db, flights, n, got_from_db, &b);
}

/* Redis */

/* Asks the next source, unless it is known not to answer. */
static void look_below(struct store_fetch *f, struct fetch *one, enum place place)
{
    static const enum stage stages[] = {[PLACE_REDIS] = STAGE_REDIS, [PLACE_DB] = STAGE_DB};
    struct error why;
    enum place next = order_after(f->store, one->flight.key.collection, place);
    if (next == PLACE_DB && db_rests(f)) {
        error_set(&why, -ENOTCONN, "is %s, and the database did not answer a moment ago",
                  place == PLACE_REDIS ? "neither on disk nor in Redis" : "not on disk");
        finish(one, NULL, NULL, &why);
    } else if (place != PLACE_DISK || !coalesce_merge(&one->flight, find_inflight)) {
        coalesce_pass(&one->flight, stages[next]);
    }
}

static void got_from_redis(void *arg, void *item, struct image *image, int refresh, const struct error *why)
{
    struct fetch_batch *b = arg;
    struct fetch *one = item;
    if (image) {
        metric_add(METRIC_reads, METRIC_tier_redis, METRIC_none, 1);
        if (refresh)
            redis_fill_refresh(b->f->redis_fill, image);
        finish_found(b, one, image, "redis");
        return;
    }
    metric_add(why->code == -ENOENT ? METRIC_read_misses : METRIC_read_errors, METRIC_tier_redis, METRIC_none, 1);
    look_below(b->f, one, PLACE_REDIS);
}

static void run_redis(void *arg, void **flights, int count)
{
    struct fetch_batch b = {.f = arg};
    mark(&b);
    tier_redis_read(b.f->store->redis, flights, count, got_from_redis, &b);
}

/* The disk */

static void look_at_disk(struct store_fetch *f, struct fetch *one)
{
    struct store *store = f->store;
    const struct image_key *key = &one->flight.key;
    struct filestate state;
    struct image *image;
    struct error why;
    coalesce_close(&one->flight);
    struct image *at_hand = inflight_find(store->inflight, key); /* before: its end may come between */
    int r = tier_disk_open(store->disk, key, &image, &state, &why);
    coalesce_moved(&f->reads, LIMIT_DISK);
    if (r == 0) {
        image = store_hot_keep(store, image, &state);
        metric_add(METRIC_reads, METRIC_tier_disk, METRIC_none, 1);
        image_unref(at_hand);
        finish(one, image, "disk", NULL);
        return;
    }
    if (at_hand) {
        metric_add(METRIC_reads, METRIC_tier_memory, METRIC_none, 1);
        finish(one, at_hand, "memory", NULL);
        return;
    }
    metric_add(METRIC_read_misses, METRIC_tier_disk, METRIC_none, 1);
    one->flight.left = store_hot_left(store, key);
    if (negcache_find(store->negcache, key) == -ENOENT) {
        error_set(&why, -ENOENT, "is not stored");
        finish(one, NULL, NULL, &why);
    } else {
        look_below(f, one, PLACE_DISK);
    }
}

static void run_disk(void *arg, void **flights, int count)
{
    for (int i = 0; i < count; i++)
        look_at_disk(arg, flights[i]);
}

/* Life */

static void tick(void *arg)
{
    struct store_fetch *f = arg;
    f->clocks[LIMIT_DISK].more_ms = tier_disk_hashing(f->store->disk) / DISK_BYTES_PER_MS;
}

static void note_late(void *arg, int limit)
{
    struct store_fetch *f = arg;
    if (limit == LIMIT_SOURCE)
        let_db_rest(f);
    if (limit != LIMIT_DISK)
        return;
    if (f->disk_told_ms <= f->clocks[LIMIT_DISK].moved_ms)
        log_event(LOG_WARN, "disk not responding", LOG_STR("error", "reads of files have not ended for a minute"));
    atomic_store(&f->disk_told_ms, atomic_load(&f->reads.clock_ms));
}

static const struct coalesce_ops reads_ops = {
    .flight_size = sizeof(struct fetch),
    .release = release,
    .refuse = refuse,
    .tick = tick,
    .late = note_late,
};

struct store_fetch *store_fetch_new(struct store *store)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct store_fetch *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->store = store;
    int disk_threads = cores < 2 ? 2 : cores > 8 ? 8 : (int)cores;
    f->stages[STAGE_DISK] = (struct coalesce_stage){
        .name = "read-disk", .threads = disk_threads, .batch_max = 1, .limit = LIMIT_DISK, .run = run_disk};
    f->stages[STAGE_REDIS] = (struct coalesce_stage){
        .name = "read-redis", .batch_max = TIER_REDIS_READ_MAX, .limit = LIMIT_SOURCE, .run = run_redis};
    f->stages[STAGE_DB] = (struct coalesce_stage){.name = "read-db",
                                                  .threads = store->config->db_pool - 1,
                                                  .batch_max = COALESCE_BATCH_MAX,
                                                  .limit = LIMIT_SOURCE,
                                                  .run = run_db};
    f->stages[STAGE_OBJECTS] = (struct coalesce_stage){
        .name = "read-objects", .threads = OBJECT_THREADS, .batch_max = 1, .limit = LIMIT_OBJECT, .run = run_objects};
    f->reads = (struct coalesce){.ops = &reads_ops,
                                 .arg = f,
                                 .stages_len = STAGES,
                                 .stages = f->stages,
                                 .limits_len = LIMITS,
                                 .limits = limits,
                                 .clocks = f->clocks};
    coalesce_init(&f->reads);
    return f;
}

void store_fetch_free(struct store_fetch *f)
{
    if (!f)
        return;
    coalesce_destroy(&f->reads);
    free(f);
}

int store_fetch(struct store *store, const struct image_key *key, store_landed_fn *landed, void *arg)
{
    return coalesce_read(&store->fetch->reads, key, landed, arg);
}

void store_fetch_forget(struct store_fetch *f, const struct image_key *key)
{
    coalesce_forget(&f->reads, key);
}

void store_fetch_forget_matching(struct store_fetch *f, const char *pattern)
{
    coalesce_forget_matching(&f->reads, pattern_means, pattern);
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

static void end_threads(struct store_fetch *f)
{
    coalesce_end(&f->reads);
    fill_stop(f->fill);
    redis_fill_stop(f->redis_fill);
    f->fill = NULL;
    f->redis_fill = NULL;
}

static int start(struct store_fetch *f, enum coalesce_limits limited, struct error *e)
{
    struct store *store = f->store;
    f->stages[STAGE_REDIS].threads = store->redis ? REDIS_THREADS : 0;
    int r = fill_start(&f->fill, store->disk);
    if (r == 0 && store->redis)
        r = redis_fill_start(&f->redis_fill, store);
    if (r == 0)
        r = coalesce_start(&f->reads, limited);
    if (r < 0) {
        end_threads(f);
        return error_set_sentence(e, r, "no threads: %s", strerror(-r));
    }
    if (store->redis)
        tier_redis_connect(store->redis);
    return 0;
}

int store_fetch_begin(struct store *store, struct error *e)
{
    return start(store->fetch, COALESCE_NO_LIMITS, e);
}

void store_fetch_end(struct store *store)
{
    (void)!coalesce_stop(&store->fetch->reads, THREAD_NEVER);
    end_threads(store->fetch);
}

int store_fetch_start(struct store *store, struct error *e)
{
    int r = start(store->fetch, COALESCE_LIMITED, e);
    if (r < 0)
        return r;
    store->fetch->started = 1;
    show_metrics(store->fetch, 1);
    return 0;
}

int store_fetch_stop(struct store *store, int64_t deadline_ms)
{
    struct store_fetch *f = store->fetch;
    if (!f->started)
        return 0;
    int r = coalesce_stop(&f->reads, deadline_ms);
    if (r < 0)
        return r;
    show_metrics(f, 0);
    end_threads(f);
    f->started = 0;
    return 0;
}
