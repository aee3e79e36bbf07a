#include "base/semaphore.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/clock.h"

/* How often who waits looks whether it shall stop. */
#define LOOK_MS 100

struct waiting {
    struct waiting *prev, *next;
};

struct semaphore {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int taken;
    struct waiting *queue; /* the one that waits longest is the first */
};

struct semaphore *semaphore_new(void)
{
    struct semaphore *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    clock_cond_init(&t->changed);
    return t;
}

void semaphore_free(struct semaphore *t)
{
    if (!t)
        return;
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

int semaphore_acquire(struct semaphore *t, int most, const atomic_int *stopped)
{
    struct waiting *me = calloc(1, sizeof *me);
    if (!me)
        return -ENOMEM;
    pthread_mutex_lock(&t->lock);
    DL_APPEND(t->queue, me);
    while ((t->queue != me || t->taken >= most) && !atomic_load(stopped)) {
        struct timespec until = clock_timespec((clock_monotonic_ms() + LOOK_MS) * 1000000);
        (void)pthread_cond_timedwait(&t->changed, &t->lock, &until);
    }
    int r = t->queue == me && t->taken < most ? 0 : -ECANCELED;
    DL_DELETE(t->queue, me);
    t->taken += r == 0;
    pthread_cond_broadcast(&t->changed); /* another one is the first */
    pthread_mutex_unlock(&t->lock);
    free(me);
    return r;
}

int semaphore_contended(struct semaphore *t)
{
    pthread_mutex_lock(&t->lock);
    int wanted = t->queue != NULL;
    pthread_mutex_unlock(&t->lock);
    return wanted;
}

void semaphore_release(struct semaphore *t)
{
    pthread_mutex_lock(&t->lock);
    t->taken--;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}
