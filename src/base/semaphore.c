#include "base/semaphore.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/lock.h"

/* How often who waits looks whether it shall stop. */
#define LOOK_MS 100

struct waiting {
    struct waiting *prev, *next;
};

struct semaphore {
    struct lock lock;
    pthread_cond_t changed;
    int taken;
    struct waiting *queue; /* the one that waits longest is the first */
};

struct semaphore *semaphore_new(void)
{
    struct semaphore *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    lock_init(&t->lock, LOCK_semaphore);
    clock_cond_init(&t->changed);
    return t;
}

void semaphore_free(struct semaphore *t)
{
    if (!t)
        return;
    pthread_cond_destroy(&t->changed);
    lock_destroy(&t->lock);
    free(t);
}

int semaphore_acquire(struct semaphore *t, int most, const atomic_int *stopped)
{
    struct waiting *me = calloc(1, sizeof *me);
    if (!me)
        return -ENOMEM;
    lock_take(&t->lock);
    DL_APPEND(t->queue, me);
    while ((t->queue != me || t->taken >= most) && !atomic_load(stopped)) {
        struct timespec until = clock_timespec((clock_monotonic_ms() + LOOK_MS) * 1000000);
        (void)pthread_cond_timedwait(&t->changed, &t->lock.mutex, &until);
    }
    int r = t->queue == me && t->taken < most ? 0 : -ECANCELED;
    DL_DELETE(t->queue, me);
    t->taken += r == 0;
    pthread_cond_broadcast(&t->changed); /* another one is the first */
    lock_give(&t->lock);
    free(me);
    return r;
}

int semaphore_contended(struct semaphore *t)
{
    lock_take(&t->lock);
    int wanted = t->queue != NULL;
    lock_give(&t->lock);
    return wanted;
}

void semaphore_release(struct semaphore *t)
{
    lock_take(&t->lock);
    t->taken--;
    pthread_cond_broadcast(&t->changed);
    lock_give(&t->lock);
}
