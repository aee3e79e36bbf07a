#include "store/proxy_flight.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/metric.h"
#include "store/memo.h"
#include "tier/tier_copies.h"

struct proxy_waiter {
    store_proxied_fn *proxied;
    void *arg;
    int64_t since_us; /* clock_monotonic_us */
    struct proxy_waiter *prev, *next;
};

/* Landing */

static void tell(struct proxy_waiter *waiters, struct image *image, const struct found *found, const struct error *why)
{
    while (waiters) {
        struct proxy_waiter *one = waiters;
        waiters = one->next;
        if (image)
            metric_observe(METRIC_read_seconds, metric_tier(found->tier), METRIC_none,
                           clock_monotonic_us() - one->since_us);
        one->proxied(one->arg, image ? image_ref(image) : NULL, image ? found->tier : NULL,
                     image ? found->status : NULL, why);
        free(one);
    }
}

void proxy_land(struct store_proxy *p, struct proxy_flight *flight, struct image *image, const struct found *found)
{
    pthread_mutex_lock(&p->lock);
    flight->image = image_ref(image);
    struct proxy_waiter *waiters = flight->waiters;
    flight->waiters = NULL;
    pthread_mutex_unlock(&p->lock);
    tell(waiters, image, found, NULL);
}

/* Nobody boards any more. Who waits is told, and the flight freed. */
static void end(struct store_proxy *p, struct proxy_flight *flight, struct image *image, const struct found *found,
                const struct error *why)
{
    pthread_mutex_lock(&p->lock);
    if (!flight->is_forgotten)
        HASH_DEL(p->flights, flight);
    if (--p->flying == 0)
        pthread_cond_broadcast(&p->landed);
    pthread_mutex_unlock(&p->lock);
    tell(flight->waiters, image, found, why);
    image_unref(flight->image);
    image_unref(flight->copy);
    free(flight);
}

void proxy_end(struct store_proxy *p, struct proxy_flight *flight, const struct error *why)
{
    if (why && why->code == -ENOENT)
        metric_inc(METRIC_reads_absent);
    end(p, flight, NULL, NULL, why);
}

void proxy_land_and_end(struct store_proxy *p, struct proxy_flight *flight, struct image *image,
                        const struct found *found)
{
    end(p, flight, image, found, NULL);
}

void proxy_end_stale(struct store_proxy *p, struct proxy_flight *flight, const struct error *why)
{
    if (!flight->copy) {
        proxy_end(p, flight, why);
        return;
    }
    metric_inc(METRIC_stale);
    metric_add(METRIC_reads, metric_tier(flight->stale.tier), METRIC_none, 1);
    proxy_land_and_end(p, flight, flight->copy, &flight->stale);
}

int proxy_is_forgotten(struct store_proxy *p, const struct proxy_flight *flight)
{
    pthread_mutex_lock(&p->lock);
    int yes = flight->is_forgotten;
    pthread_mutex_unlock(&p->lock);
    return yes;
}

int proxy_is_stopped(struct store_proxy *p)
{
    pthread_mutex_lock(&p->lock);
    int yes = p->stopped;
    pthread_mutex_unlock(&p->lock);
    return yes;
}

/* Copies that are too old */

void proxy_set_copy(struct proxy_flight *flight, struct image *copy, enum proxy_copy is)
{
    static const char *const tiers[] = {"memory", "redis", "disk"};
    image_unref(flight->copy);
    flight->copy = copy;
    flight->copy_is = is;
    flight->stale = (struct found){tiers[is], "STALE"};
}

struct image *proxy_known(const struct proxy_flight *flight)
{
    return flight->copy_is == COPY_LEFT ? NULL : flight->copy;
}

/* In */

void proxy_push(struct store_proxy *p, struct workers *to, struct proxy_flight *flight)
{
    struct error why;
    if (workers_push_now(to, flight) == 0)
        return;
    error_set(&why, -EAGAIN, "has to wait for too many others");
    proxy_end_stale(p, flight, &why);
}

static struct proxy_flight *board(struct store_proxy *p, const struct image_key *key, int *ret_new)
{
    char name[IMAGE_NAME_SIZE];
    unsigned n = image_key_name(key, name);
    struct proxy_flight *flight;
    HASH_FIND(hh, p->flights, name, n, flight);
    *ret_new = !flight;
    if (flight || p->flying >= PROXY_FLIGHTS_MAX)
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
static struct found found_later(const struct proxy_flight *flight)
{
    return (struct found){flight->image->bytes ? "memory" : "disk", "HIT"};
}

int store_proxy(struct store *store, const struct image_key *key, store_proxied_fn *proxied, void *arg)
{
    struct store_proxy *p = store->proxy;
    struct proxy_waiter *self = malloc(sizeof *self);
    struct image *image = NULL;
    struct found found = {0};
    int is_new = 0;
    if (!self)
        return -ENOMEM;
    *self = (struct proxy_waiter){.proxied = proxied, .arg = arg, .since_us = clock_monotonic_us()};
    pthread_mutex_lock(&p->lock);
    struct proxy_flight *flight = p->stopped ? NULL : board(p, key, &is_new);
    int has_landed = flight && flight->image;
    if (has_landed) {
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
    if (has_landed) {
        tell(self, image, &found, NULL);
        image_unref(image);
    } else if (is_new) {
        proxy_push(p, p->disk, flight);
    }
    return 0;
}

/* Forgetting */

/* With the lock. Its end is its own. */
static void close_flight(struct store_proxy *p, struct proxy_flight *flight)
{
    HASH_DEL(p->flights, flight);
    flight->is_forgotten = 1;
}

int store_proxy_forget(struct store *store, const struct image_key *key)
{
    struct store_proxy *p = store->proxy;
    char name[IMAGE_NAME_SIZE];
    struct proxy_flight *flight;
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
    struct proxy_flight *flight, *next;
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
