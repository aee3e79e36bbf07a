/* Flights to images that have an origin: who waits for one, what is known of it so far, and how it ends. Private to
 * store/store_proxy.c, which flies them, and proxy_flight.c.
 *
 *     proxy_push -> [ proxy_set_copy ] -> [ proxy_land ] -> proxy_end
 *
 * One lock is over all flights; nobody is told anything while it is held. */
#ifndef STORE_PROXY_FLIGHT_H
#define STORE_PROXY_FLIGHT_H

#include <pthread.h>
#include <uthash.h>

#include "base/workers.h"
#include "store/store_proxy.h"
#include "store/store_tiers.h"

#define PROXY_FLIGHTS_MAX 16384

/* How an image was found. */
struct found {
    const char *tier, *status;
};

struct proxy_waiter;

enum proxy_copy { COPY_LEFT /* in memory, of a file that is gone */, COPY_IN_REDIS, COPY_ON_DISK };

struct proxy_flight {
    struct image_key key; /* both inside name; first, for those who read it */
    struct proxy_waiter *waiters;
    struct image *copy; /* too old */
    struct found stale; /* what that would be */
    enum proxy_copy copy_is;
    uint64_t version;    /* of the memo, before anybody was asked */
    struct image *image; /* that has landed, while it is put where it is kept */
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
    struct proxy_flight *flights; /* the others */
    struct workers *disk, *redis; /* redis NULL: none */
    size_t lanes_len;
    struct lane lanes[];
};

/* Those who wait have the image, and so has who asks until the flight ends. */
void proxy_land(struct store_proxy *p, struct proxy_flight *flight, struct image *image, const struct found *found);

/* Frees the flight; who waits still is told why. NULL: nobody does. */
void proxy_end(struct store_proxy *p, struct proxy_flight *flight, const struct error *why);

/* In one step: who asks from then on boards another flight. */
void proxy_land_and_end(struct store_proxy *p, struct proxy_flight *flight, struct image *image,
                        const struct found *found);

/* There is no better answer: the copy that is too old, or why there is none. */
void proxy_end_stale(struct store_proxy *p, struct proxy_flight *flight, const struct error *why);

/* Hands it on; where too many wait, it ends. */
void proxy_push(struct store_proxy *p, struct workers *to, struct proxy_flight *flight);

/* There is a copy that is too old. Takes the reference. */
void proxy_set_copy(struct proxy_flight *flight, struct image *copy, enum proxy_copy is);

/* What its origin is asked about, or NULL. What is left in memory is only for when it can't be asked. */
struct image *proxy_known(const struct proxy_flight *flight);

int proxy_is_forgotten(struct store_proxy *p, const struct proxy_flight *flight);
int proxy_is_stopped(struct store_proxy *p);

#endif
