#include "client/db_watch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"

#define NEVER THREAD_NEVER

struct db_watch_slot {
    int fd;              /* -1: free */
    int64_t deadline_ms; /* NEVER: not armed */
    int64_t armed_ms;    /* when */
    int fired;
};

struct db_watch {
    struct thread thread; /* its lock is over what follows */
    int64_t wakes_ms;     /* when the thread looks next; arming for later needs no signal */
    int count;
    struct db_watch_slot slots[];
};

/* What is still unsent goes with it: the kernel would offer it to a server that can't be reached for minutes after the
 * close, and a statement that was given up could overwrite what was committed since. */
static void cut(int fd)
{
    const struct linger none = {.l_onoff = 1};
    (void)!setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    (void)shutdown(fd, SHUT_RDWR);
}

/* Shuts down what is overdue and returns the earliest deadline of the rest. */
static int64_t fire(struct db_watch *w)
{
    int64_t earliest = NEVER, now_ms = clock_monotonic_ms();
    for (int i = 0; i < w->count; i++) {
        struct db_watch_slot *s = &w->slots[i];
        if (s->deadline_ms <= now_ms) {
            cut(s->fd);
            s->fired = 1;
            s->deadline_ms = NEVER;
        }
        if (s->deadline_ms < earliest)
            earliest = s->deadline_ms;
    }
    return earliest;
}

static void db_watch_run(void *arg)
{
    struct db_watch *w = arg;
    lock_take(&w->thread.lock);
    do
        w->wakes_ms = fire(w);
    while (thread_wait_locked(&w->thread, w->wakes_ms));
    lock_give(&w->thread.lock);
}

int db_watch_start(struct db_watch **ret, int slots)
{
    struct db_watch *w = calloc(1, sizeof *w + (size_t)slots * sizeof w->slots[0]);
    if (!w)
        return -ENOMEM;
    w->count = slots;
    w->wakes_ms = NEVER;
    for (int i = 0; i < slots; i++)
        w->slots[i] = (struct db_watch_slot){.fd = -1, .deadline_ms = NEVER};

    thread_init(&w->thread, LOCK_db_watch);
    int r = thread_start(&w->thread, "db-watch", db_watch_run, w);
    if (r < 0) {
        thread_destroy(&w->thread);
        free(w);
        return r;
    }
    *ret = w;
    return 0;
}

void db_watch_stop(struct db_watch *w)
{
    if (!w)
        return;
    (void)!thread_stop(&w->thread, THREAD_NEVER);
    thread_destroy(&w->thread);
    free(w);
}

int db_watch_take(struct db_watch *w, int fd)
{
    int slot = 0;
    lock_take(&w->thread.lock);
    while (slot < w->count && w->slots[slot].fd >= 0)
        slot++;
    assert(slot < w->count);
    w->slots[slot] = (struct db_watch_slot){.fd = fd, .deadline_ms = NEVER};
    lock_give(&w->thread.lock);
    return slot;
}

void db_watch_give(struct db_watch *w, int slot)
{
    lock_take(&w->thread.lock);
    w->slots[slot] = (struct db_watch_slot){.fd = -1, .deadline_ms = NEVER};
    lock_give(&w->thread.lock);
}

void db_watch_arm(struct db_watch *w, int slot, int64_t deadline_ms)
{
    lock_take(&w->thread.lock);
    w->slots[slot].deadline_ms = deadline_ms;
    w->slots[slot].armed_ms = clock_monotonic_ms();
    if (deadline_ms < w->wakes_ms) {
        w->wakes_ms = deadline_ms;
        w->thread.woken = 1;
        pthread_cond_broadcast(&w->thread.changed);
    }
    lock_give(&w->thread.lock);
}

int db_watch_armed(struct db_watch *w, int64_t min_ms, int64_t *ret_longest_ms)
{
    int n = 0;
    int64_t now_ms = clock_monotonic_ms(), longest_ms = 0;
    lock_take(&w->thread.lock);
    for (int i = 0; i < w->count; i++) {
        const struct db_watch_slot *s = &w->slots[i];
        int64_t ms = s->deadline_ms != NEVER ? now_ms - s->armed_ms : 0;
        n += ms >= min_ms;
        longest_ms = ms > longest_ms ? ms : longest_ms;
    }
    lock_give(&w->thread.lock);
    *ret_longest_ms = longest_ms;
    return n;
}

int db_watch_disarm(struct db_watch *w, int slot)
{
    lock_take(&w->thread.lock);
    w->slots[slot].deadline_ms = NEVER;
    int fired = w->slots[slot].fired;
    lock_give(&w->thread.lock);
    return fired;
}
