#include "base/thread.h"

#include <errno.h>

#include "base/clock.h"

void thread_init(struct thread *t)
{
    *t = (struct thread){0};
    pthread_mutex_init(&t->lock, NULL);
    clock_cond_init(&t->changed);
}

void thread_destroy(struct thread *t)
{
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
}

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    t->run(t->arg);
    pthread_mutex_lock(&t->lock);
    t->ended = 1;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
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

int thread_wait_change(struct thread *t, int64_t at_ms)
{
    struct timespec until;
    if (at_ms == THREAD_NEVER) {
        pthread_cond_wait(&t->changed, &t->lock);
        return 0;
    }
    until = clock_timespec(at_ms * 1000000);
    return pthread_cond_timedwait(&t->changed, &t->lock, &until) == ETIMEDOUT;
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
    pthread_mutex_lock(&t->lock);
    int go_on = thread_wait_locked(t, at_ms);
    pthread_mutex_unlock(&t->lock);
    return go_on;
}

int thread_is_stopping(struct thread *t)
{
    pthread_mutex_lock(&t->lock);
    int stopping = t->stopping;
    pthread_mutex_unlock(&t->lock);
    return stopping;
}

void thread_wake(struct thread *t)
{
    pthread_mutex_lock(&t->lock);
    t->woken = 1;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

int thread_stop(struct thread *t, int64_t deadline_ms)
{
    int late = 0;
    if (!t->started)
        return 0;
    pthread_mutex_lock(&t->lock);
    t->stopping = 1;
    pthread_cond_broadcast(&t->changed);
    while (!t->ended && !late)
        late = thread_wait_change(t, deadline_ms);
    int ended = t->ended;
    pthread_mutex_unlock(&t->lock);
    if (!ended)
        return -ETIMEDOUT;
    pthread_join(t->id, NULL);
    t->started = 0;
    return 0;
}
