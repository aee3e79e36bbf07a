#include "base/thread.h"

#include <errno.h>

#include "base/clock.h"
#include "base/lock.h"

void thread_init(struct thread *t, enum lock_rank rank)
{
    *t = (struct thread){0};
    lock_init(&t->lock, rank);
    clock_cond_init(&t->changed);
}

void thread_destroy(struct thread *t)
{
    pthread_cond_destroy(&t->changed);
    lock_destroy(&t->lock);
}

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    t->run(t->arg);
    lock_take(&t->lock);
    t->ended = 1;
    pthread_cond_broadcast(&t->changed);
    lock_give(&t->lock);
    return NULL;
}

int thread_start(struct thread *t, const char *name, thread_fn *run, void *arg)
{
    t->run = run;
    t->arg = arg;
    int r = pthread_create(&t->id, NULL, thread_main, t);
    t->started = r == 0;
    if (r == 0)
        (void)pthread_setname_np(t->id, name);
    return -r;
}

void thread_set_name(const char *name)
{
    (void)pthread_setname_np(pthread_self(), name);
}

int thread_wait_change(struct thread *t, int64_t at_ms)
{
    struct timespec until;
    if (at_ms == THREAD_NEVER) {
        pthread_cond_wait(&t->changed, &t->lock.mutex);
        return 0;
    }
    until = clock_timespec(at_ms * 1000000);
    return pthread_cond_timedwait(&t->changed, &t->lock.mutex, &until) == ETIMEDOUT;
}

int thread_wait_locked(struct thread *t, int64_t at_ms)
{
    int time = 0;
    while (!t->stopping && !t->woken && !time)
        time = thread_wait_change(t, at_ms);
    t->woken = 0;
    return !t->stopping;
}

int thread_wait(struct thread *t, int64_t at_ms)
{
    lock_take(&t->lock);
    int go_on = thread_wait_locked(t, at_ms);
    lock_give(&t->lock);
    return go_on;
}

int thread_is_stopping(struct thread *t)
{
    lock_take(&t->lock);
    int stopping = t->stopping;
    lock_give(&t->lock);
    return stopping;
}

void thread_wake(struct thread *t)
{
    lock_take(&t->lock);
    t->woken = 1;
    pthread_cond_broadcast(&t->changed);
    lock_give(&t->lock);
}

int thread_stop(struct thread *t, int64_t deadline_ms)
{
    int late = 0;
    if (!t->started)
        return 0;
    lock_take(&t->lock);
    t->stopping = 1;
    pthread_cond_broadcast(&t->changed);
    while (!t->ended && !late)
        late = thread_wait_change(t, deadline_ms);
    int ended = t->ended;
    lock_give(&t->lock);
    if (!ended)
        return -ETIMEDOUT;
    pthread_join(t->id, NULL);
    t->started = 0;
    return 0;
}
