#include "base/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/lock.h"

struct workers {
    struct lock lock;
    pthread_cond_t pushed; /* or no more to come */
    pthread_cond_t taken;  /* half of them, or stopped */
    workers_fn *fn;
    void *arg;
    int finished; /* nothing more will be pushed */
    int stopped;  /* nothing more will be handed out */
    size_t max, first, count;
    void **items; /* a ring */
    int thread_count;
    pthread_t threads[];
};

static void *workers_run(void *arg)
{
    struct workers *w = arg;
    w->fn(w->arg, w);
    return NULL;
}

int workers_start(struct workers **ret, const char *name, int threads, size_t queue_max, workers_fn *fn, void *arg)
{
    struct workers *w = calloc(1, sizeof *w + (size_t)threads * sizeof w->threads[0]);
    if (!w)
        return -ENOMEM;
    w->items = calloc(queue_max, sizeof *w->items);
    if (!w->items) {
        free(w);
        return -ENOMEM;
    }
    w->max = queue_max;
    w->fn = fn;
    w->arg = arg;
    lock_init(&w->lock, LOCK_workers);
    pthread_cond_init(&w->pushed, NULL);
    pthread_cond_init(&w->taken, NULL);
    while (w->thread_count < threads) {
        int r = pthread_create(&w->threads[w->thread_count], NULL, workers_run, w);
        if (r) {
            workers_finish(w, NULL, NULL);
            return -r;
        }
        (void)pthread_setname_np(w->threads[w->thread_count], name);
        w->thread_count++;
    }
    *ret = w;
    return 0;
}

static int push(struct workers *w, void *item, int wait)
{
    int r = 0;
    lock_take(&w->lock);
    while (wait && w->count == w->max && !w->stopped)
        pthread_cond_wait(&w->taken, &w->lock.mutex);
    if (w->stopped)
        r = -EPIPE;
    else if (w->count == w->max)
        r = -EAGAIN;
    if (r == 0) {
        w->items[(w->first + w->count++) % w->max] = item;
        pthread_cond_signal(&w->pushed);
    }
    lock_give(&w->lock);
    return r;
}

int workers_push(struct workers *w, void *item)
{
    return push(w, item, 1);
}

int workers_push_now(struct workers *w, void *item)
{
    return push(w, item, 0);
}

static size_t take(struct workers *w, void **ret, size_t max, int wait)
{
    size_t n = 0;
    lock_take(&w->lock);
    while (wait && !w->count && !w->finished && !w->stopped)
        pthread_cond_wait(&w->pushed, &w->lock.mutex);
    while (n < max && w->count && !w->stopped) {
        ret[n++] = w->items[w->first];
        w->first = (w->first + 1) % w->max;
        /* Who waits to push goes on once half is free, or would be woken for each item. */
        if (--w->count == w->max / 2)
            pthread_cond_broadcast(&w->taken);
    }
    lock_give(&w->lock);
    return n;
}

void *workers_take(struct workers *w)
{
    void *item;
    return take(w, &item, 1, 1) ? item : NULL;
}

size_t workers_take_some(struct workers *w, void **ret, size_t max)
{
    return take(w, ret, max, 1);
}

void *workers_take_now(struct workers *w)
{
    void *item;
    return take(w, &item, 1, 0) ? item : NULL;
}

static void raise_flag(struct workers *w, int *flag)
{
    lock_take(&w->lock);
    *flag = 1;
    pthread_cond_broadcast(&w->pushed);
    pthread_cond_broadcast(&w->taken);
    lock_give(&w->lock);
}

void workers_stop(struct workers *w)
{
    raise_flag(w, &w->stopped);
}

void workers_finish(struct workers *w, void (*drop)(void *arg, void *item), void *arg)
{
    raise_flag(w, &w->finished);
    for (int i = 0; i < w->thread_count; i++)
        pthread_join(w->threads[i], NULL);
    for (; w->count; w->count--, w->first = (w->first + 1) % w->max)
        if (drop)
            drop(arg, w->items[w->first]);
    pthread_cond_destroy(&w->pushed);
    pthread_cond_destroy(&w->taken);
    lock_destroy(&w->lock);
    free(w->items);
    free(w);
}
