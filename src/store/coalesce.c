#include "store/coalesce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"

#define ROUND_MS         100
#define ROUND_LONGEST_MS 200 /* a round that took longer found no processor */

struct coalesce_waiter {
    store_landed_fn *landed;
    void *arg;
    int64_t since_us;   /* clock_monotonic_us */
    int64_t began_ms;   /* by the engine's clock: its time under the present limit */
    struct image *left; /* its flight's, once its time is up */
    struct coalesce_waiter *prev, *next;
};

static void lock(struct coalesce *c)
{
    lock_take(&c->thread.lock);
}

static void unlock(struct coalesce *c)
{
    lock_give(&c->thread.lock);
}

/* Telling; without the lock */

static void tell(struct coalesce_waiter *waiters, struct image *image, const struct store_hit *found,
                 const struct error *why)
{
    static const struct store_hit left = {"memory", NULL};
    while (waiters) {
        struct coalesce_waiter *one = waiters;
        waiters = one->next;
        struct image *given = one->left ? one->left : image ? image_ref(image) : NULL;
        if (one->left)
            found = &left;
        if (given)
            metric_observe(METRIC_read_seconds, metric_tier(found->tier), METRIC_none,
                           clock_monotonic_us() - one->since_us);
        one->landed(one->arg, given, given ? found : NULL, given ? NULL : why);
        free(one);
    }
}

/* Tables; with the lock */

static void leave(struct flight *flight)
{
    if (flight->table)
        HASH_DEL(*flight->table, flight);
    else
        DL_DELETE(flight->engine->closed, flight);
    flight->table = NULL;
}

static void enter(struct flight *flight, struct flight **table)
{
    HASH_ADD_KEYPTR(hh, *table, flight->name, flight->name_len, flight);
    flight->table = table;
}

static void close_flight(struct flight *flight)
{
    leave(flight);
    DL_APPEND(flight->engine->closed, flight);
}

static void begin_limit(struct flight *flight, int limit)
{
    struct coalesce_waiter *one;
    flight->limit = limit;
    DL_FOREACH(flight->waiters, one)
    {
        one->began_ms = flight->engine->clock_ms;
    }
}

/* Joining */

static struct flight *new_flight(struct coalesce *c, const char *name, unsigned len)
{
    struct flight *flight = calloc(1, c->ops->flight_size + len);
    if (!flight)
        return NULL;
    flight->engine = c;
    flight->name = (char *)flight + c->ops->flight_size;
    flight->name_len = len;
    memcpy(flight->name, name, len);
    flight->key = image_key_named(flight->name);
    flight->limit = c->stages[0].limit;
    enter(flight, &c->asked);
    c->flying++;
    return flight;
}

static struct flight *join(struct coalesce *c, const struct image_key *key, int *ret_new)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct flight *flight;
    *ret_new = 0;
    if (!c->open)
        return NULL;
    HASH_FIND(hh, c->asked, name, len, flight);
    if (flight || c->flying >= COALESCE_MAX)
        return flight;
    flight = new_flight(c, name, len);
    *ret_new = flight != NULL;
    return flight;
}

int coalesce_read(struct coalesce *c, const struct image_key *key, store_landed_fn *landed, void *arg)
{
    struct coalesce_waiter *self = malloc(sizeof *self);
    struct image *answer = NULL;
    int is_new;
    if (!self)
        return -ENOMEM;
    *self = (struct coalesce_waiter){.landed = landed, .arg = arg, .since_us = clock_monotonic_us()};
    lock(c);
    struct flight *flight = join(c, key, &is_new);
    if (flight && flight->answer) {
        answer = image_ref(flight->answer);
    } else if (flight) {
        self->began_ms = c->clock_ms;
        DL_APPEND(flight->waiters, self);
    }
    unlock(c);
    if (!flight) {
        free(self);
        return -EAGAIN;
    }
    if (!is_new)
        metric_inc(METRIC_reads_joined);
    if (answer) {
        const struct store_hit found = {answer->bytes ? "memory" : "disk", "HIT"};
        tell(self, answer, &found, NULL);
        image_unref(answer);
    } else if (is_new) {
        coalesce_pass(flight, 0);
    }
    return 0;
}

/* On its way */

void coalesce_enter(struct flight *flight, int limit)
{
    lock(flight->engine);
    begin_limit(flight, limit);
    unlock(flight->engine);
}

void coalesce_pass(struct flight *flight, int stage)
{
    struct coalesce *c = flight->engine;
    struct error why;
    if (flight->limit != c->stages[stage].limit)
        coalesce_enter(flight, c->stages[stage].limit);
    if (workers_push_now(c->stages[stage].workers, flight) == 0)
        return;
    error_set(&why, -EAGAIN, "has to wait for too many others");
    c->ops->refuse(flight, &why);
}

void coalesce_close(struct flight *flight)
{
    lock(flight->engine);
    if (flight->table)
        close_flight(flight);
    unlock(flight->engine);
}

int coalesce_is_closed(const struct flight *flight)
{
    lock(flight->engine);
    int is = !flight->table;
    unlock(flight->engine);
    return is;
}

int coalesce_has_waiters(const struct flight *flight)
{
    lock(flight->engine);
    int has = flight->waiters != NULL;
    unlock(flight->engine);
    return has;
}

/* Landing */

static void release(struct flight *flight)
{
    if (flight->engine->ops->release)
        flight->engine->ops->release(flight);
    image_unref(flight->answer);
    image_unref(flight->left);
    free(flight);
}

/* With the lock: it is in no table or list any more. */
static void end_flight(struct flight *flight)
{
    struct coalesce *c = flight->engine;
    leave(flight);
    if (--c->flying == 0)
        pthread_cond_broadcast(&c->thread.changed);
}

void coalesce_answer(struct flight *flight, struct image *image, const struct store_hit *found)
{
    lock(flight->engine);
    flight->answer = image_ref(image);
    struct coalesce_waiter *waiters = flight->waiters;
    flight->waiters = NULL;
    unlock(flight->engine);
    tell(waiters, image, found, NULL);
}

void coalesce_finish(struct flight *flight, struct image *image, const struct store_hit *found, const struct error *why)
{
    struct coalesce *c = flight->engine;
    lock(c);
    end_flight(flight);
    unlock(c);
    tell(flight->waiters, image, found, why);
    release(flight);
}

int coalesce_merge(struct flight *flight, struct image *(*filling)(struct flight *flight))
{
    static const struct store_hit at_hand = {"memory", NULL};
    struct coalesce *c = flight->engine;
    struct flight *there;
    struct image *image = NULL;
    lock(c);
    HASH_FIND(hh, c->shared, flight->name, flight->name_len, there);
    if (there) {
        begin_limit(flight, there->limit);
        DL_CONCAT(there->waiters, flight->waiters);
        flight->waiters = NULL;
        end_flight(flight);
    } else if (!(image = filling(flight))) {
        leave(flight);
        enter(flight, &c->shared);
    }
    unlock(c);
    if (there) {
        metric_inc(METRIC_reads_joined);
        release(flight);
    }
    if (image) {
        metric_add(METRIC_reads, METRIC_tier_memory, METRIC_none, 1);
        coalesce_finish(flight, image, &at_hand, NULL);
        image_unref(image);
    }
    return there || image;
}

/* Forgetting */

void coalesce_forget(struct coalesce *c, const struct image_key *key)
{
    char name[IMAGE_NAME_SIZE];
    unsigned len = image_key_name(key, name);
    struct flight *asked, *shared;
    lock(c);
    HASH_FIND(hh, c->asked, name, len, asked);
    HASH_FIND(hh, c->shared, name, len, shared);
    if (asked)
        close_flight(asked);
    if (shared)
        close_flight(shared);
    unlock(c);
}

/* With the lock. The owner also hears of flights that were CLOSED before. */
static void forget_matching(struct flight *flight, int (*is_meant)(const struct image_key *key, const char *pattern),
                            const char *pattern)
{
    if (!is_meant(&flight->key, pattern))
        return;
    if (flight->table)
        close_flight(flight);
    if (flight->engine->ops->forgotten)
        flight->engine->ops->forgotten(flight);
}

void coalesce_forget_matching(struct coalesce *c, int (*is_meant)(const struct image_key *key, const char *pattern),
                              const char *pattern)
{
    struct flight *flight, *next;
    lock(c);
    DL_FOREACH(c->closed, flight)
    {
        forget_matching(flight, is_meant, pattern);
    }
    HASH_ITER (hh, c->asked, flight, next) {
        forget_matching(flight, is_meant, pattern);
    }
    HASH_ITER (hh, c->shared, flight, next) {
        forget_matching(flight, is_meant, pattern);
    }
    unlock(c);
}

/* Time */

static int64_t later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int is_time_up(const struct coalesce *c, const struct flight *flight, const struct coalesce_waiter *one)
{
    const struct coalesce_limit *limit = &c->limits[flight->limit];
    const struct coalesce_clock *clock = &c->clocks[flight->limit];
    int64_t moved_ms = later_of(later_of(one->began_ms, flight->came_ms), clock->moved_ms);
    return c->clock_ms - one->began_ms >= limit->longest_ms ||
           (!clock->held && c->clock_ms - moved_ms >= limit->quiet_ms + clock->more_ms);
}

/* Takes those waiters off the flight whose time is up; late[i] is the list of limit i. */
static void take_late(const struct coalesce *c, struct flight *flight, struct coalesce_waiter **late)
{
    int64_t came = atomic_load(&flight->came);
    if (came != flight->came_seen) {
        flight->came_seen = came;
        flight->came_ms = c->clock_ms;
    }
    while (flight->waiters && is_time_up(c, flight, flight->waiters)) {
        struct coalesce_waiter *one = flight->waiters;
        one->left = flight->left ? image_ref(flight->left) : NULL;
        DL_DELETE(flight->waiters, one);
        DL_APPEND(late[flight->limit], one);
    }
}

void coalesce_moved(struct coalesce *c, int limit)
{
    atomic_store(&c->clocks[limit].moved_ms, atomic_load(&c->clock_ms));
}

void coalesce_time_passes(struct coalesce *c, int64_t ms)
{
    struct coalesce_waiter *late[COALESCE_LIMITS_MAX] = {0};
    struct flight *flight, *next;
    if (c->ops->tick)
        c->ops->tick(c->arg);
    lock(c);
    c->clock_ms += ms;
    HASH_ITER (hh, c->asked, flight, next) {
        take_late(c, flight, late);
    }
    HASH_ITER (hh, c->shared, flight, next) {
        take_late(c, flight, late);
    }
    DL_FOREACH(c->closed, flight)
    {
        take_late(c, flight, late);
    }
    unlock(c);
    for (int i = 0; i < c->limits_len; i++) {
        struct error why;
        if (!late[i])
            continue;
        if (c->ops->late)
            c->ops->late(c->arg, i);
        error_set(&why, -ETIMEDOUT, "%s", c->limits[i].why);
        tell(late[i], NULL, NULL, &why);
    }
}

static void coalesce_run_clock(void *arg)
{
    struct coalesce *c = arg;
    int64_t last_ms = clock_monotonic_ms();
    while (thread_wait(&c->thread, clock_monotonic_ms() + ROUND_MS)) {
        int64_t now_ms = clock_monotonic_ms(), passed_ms = now_ms - last_ms;
        last_ms = now_ms;
        coalesce_time_passes(c, passed_ms < ROUND_LONGEST_MS ? passed_ms : ROUND_LONGEST_MS);
    }
}

/* Life */

void coalesce_init(struct coalesce *c)
{
    thread_init(&c->thread, LOCK_reads);
}

void coalesce_destroy(struct coalesce *c)
{
    thread_destroy(&c->thread);
}

static void coalesce_run_stage(void *arg, struct workers *w)
{
    struct coalesce_stage *stage = arg;
    void *flights[COALESCE_BATCH_MAX];
    size_t count;
    while ((count = workers_take_some(w, flights, stage->batch_max)))
        stage->run(((struct flight *)flights[0])->engine->arg, flights, (int)count);
}

int coalesce_start(struct coalesce *c, enum coalesce_limits limited)
{
    int r = 0;
    for (int i = 0; i < c->stages_len && r == 0; i++)
        if (c->stages[i].threads)
            r = workers_start(&c->stages[i].workers, c->stages[i].name, c->stages[i].threads, COALESCE_MAX,
                              coalesce_run_stage, &c->stages[i]);
    c->thread.stopping = c->thread.ended = 0;
    if (r == 0 && c->limits_len && limited == COALESCE_LIMITED)
        r = thread_start(&c->thread, "read-limits", coalesce_run_clock, c);
    if (r < 0) {
        coalesce_end(c);
        return r;
    }
    atomic_store(&c->stopping, 0);
    lock(c);
    c->open = 1;
    unlock(c);
    return 0;
}

int coalesce_stop(struct coalesce *c, int64_t deadline_ms)
{
    int late = 0;
    atomic_store(&c->stopping, 1);
    lock(c);
    c->open = 0;
    while (c->flying && !late)
        late = thread_wait_change(&c->thread, deadline_ms);
    unlock(c);
    return late ? -ETIMEDOUT : 0;
}

void coalesce_end(struct coalesce *c)
{
    for (int i = 0; i < c->stages_len; i++) {
        if (c->stages[i].workers)
            workers_finish(c->stages[i].workers, NULL, NULL);
        c->stages[i].workers = NULL;
    }
    (void)!thread_stop(&c->thread, THREAD_NEVER);
}
