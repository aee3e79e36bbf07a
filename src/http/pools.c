#include "http/pools.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/workers.h"
#include "client/db.h"
#include "http/body.h"
#include "http/router.h"
#include "store/store_object.h"

#define QUEUE             1024
#define QUEUE_SESSION     256
#define QUEUE_ALONE       8
#define BODY_BYTES_PER_MS 1000 /* to the database, at least */

static const struct {
    const char *name; /* of the threads */
    int threads;
    size_t queue;
    int64_t limit_ms; /* for the database, from the request on, and more for a body. What is written by a request that
                       * ran into it may be committed all the same. */
} kinds[POOLS] = {
    [POOL_SESSION] = {"http-session", 2, QUEUE_SESSION, 1500},
    [POOL_READ] = {"http-read", 4, QUEUE, 1500},
    [POOL_WRITE] = {"http-write", 4, QUEUE, 5000},
    [POOL_LARGE] = {"http-large", 8, QUEUE, 5000},
    [POOL_SLOW] = {"http-slow", 2, QUEUE, 600000},
    [POOL_SERIAL] = {"http-serial", 1, QUEUE_ALONE, 5000},
};

struct pools {
    struct workers *workers[POOLS];
};

static void pools_run(void *arg, struct workers *w)
{
    struct http_transaction *x;
    (void)arg;
    while ((x = workers_take(w))) {
        db_deadline(x->db_deadline_ms);
        x->step(x);
        if (x->next)
            x->next(x);
        else
            http_done(x);
    }
}

int pools_start(struct pools **ret)
{
    struct pools *p = calloc(1, sizeof *p);
    int r = p ? 0 : -ENOMEM;
    for (int i = 0; i < POOLS && r == 0; i++)
        r = workers_start(&p->workers[i], kinds[i].name, kinds[i].threads, kinds[i].queue, pools_run, NULL);
    if (r < 0)
        pools_finish(p);
    else
        *ret = p;
    return r;
}

void pools_finish(struct pools *p)
{
    for (int i = 0; p && i < POOLS; i++)
        if (p->workers[i])
            workers_finish(p->workers[i], NULL, NULL);
    free(p);
}

enum pool pools_of(const struct http_transaction *x)
{
    return x->route->place == HTTP_SLOW                      ? POOL_SLOW
           : x->route->place == HTTP_SERIAL                  ? POOL_SERIAL
           : http_body_is_large(x)                           ? POOL_LARGE
           : x->method == HTTP_GET || x->method == HTTP_HEAD ? POOL_READ
                                                             : POOL_WRITE;
}

/* A large one goes to object storage first. */
static int64_t limit_of_body(const struct http_transaction *x)
{
    return http_body_is_large(x) ? store_transfer_ms(x->body_bytes) : x->body_bytes / BODY_BYTES_PER_MS;
}

int pools_push(struct pools *p, enum pool pool, struct http_transaction *x)
{
    x->db_deadline_ms = clock_monotonic_ms() + kinds[pool].limit_ms + limit_of_body(x);
    return workers_push_now(p->workers[pool], x);
}
