/* The threads that may wait. Whoever waits for the database does so among his like: a database that hangs holds up
 * writes for longer than reads. Each request has a deadline for what the database may take. */
#ifndef HTTP_POOLS_H
#define HTTP_POOLS_H

#include "http/transaction.h"

enum pool {
    POOL_SESSION, /* who sends a request: anybody may have that looked up, and shall hold up nobody else */
    POOL_READ,
    POOL_WRITE,
    POOL_LARGE,  /* bodies on their way to object storage, which takes longer */
    POOL_SLOW,   /* as long as it takes */
    POOL_SERIAL, /* one thread: what takes so much memory that there must not be two of it */
    POOLS
};

struct pools;

/* 0, or -errno. */
int pools_start(struct pools **ret) __attribute__((warn_unused_result));
void pools_finish(struct pools *p); /* nothing is pushed any more; NULL is allowed */

/* The one that is meant for the request's route and body. */
enum pool pools_of(const struct http_transaction *x);

/* Has a thread run x->step, and then x->next or http_done. -EAGAIN: too many wait. */
int pools_push(struct pools *p, enum pool pool, struct http_transaction *x) __attribute__((warn_unused_result));

#endif
