#include "http/conn_timeout.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"

#define FIRST_HEAD_MS 20000
#define NEXT_HEAD_MS  75000 /* an idle connection included */
#define TRANSFER_MS   30000 /* for a body or an answer, and on top, by what has come of the body or is to be sent: */
#define BYTES_PER_MS  8     /* slower than that is too slow */
#define CHECK_MS      1000  /* between two checks */

struct conn_timer {
    int fd;
    struct lock file_lock; /* over these two, and that file is open while it is held */
    int file;              /* that is being sent; -1: none. Changed by the connection's thread alone */
    int64_t file_end;
    int64_t body_began_ms, body_bytes; /* the connection's thread's */
    atomic_llong deadline_ms;
    atomic_int receiving;     /* the peer owes us something */
    int64_t left_deadline_ms; /* the deadline when a check found the peer gone; 0: none did */
    struct conn_timer *prev, *next;
};

struct call {
    void (*fn)(void *arg);
    void *arg;
    struct call *next;
};

struct conn_timeout {
    struct thread thread; /* its lock is over the list: a timer's descriptor is open while it stands in there */
    struct conn_timer *timers;
    struct call *calls;
};

/* libmicrohttpd can miss the end of a connection that comes together with data, and would wait for more. A peer that is
 * found gone by two checks, and owed the same thing both times, has sent no whole request that is yet to be read. */
static int has_left(struct conn_timer *timer, int64_t deadline_ms)
{
    char byte;
    if (!atomic_load_explicit(&timer->receiving, memory_order_relaxed) ||
        recv(timer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
        return 0;
    int again = timer->left_deadline_ms == deadline_ms;
    timer->left_deadline_ms = deadline_ms;
    return again;
}

/* What a writer has cut off of a file can't be sent any more, and the peer would wait for it. */
static int is_cut_short(struct conn_timer *timer)
{
    struct stat st;
    lock_take(&timer->file_lock);
    int cut = timer->file >= 0 && fstat(timer->file, &st) == 0 && st.st_size < timer->file_end;
    lock_give(&timer->file_lock);
    return cut;
}

/* libmicrohttpd takes a send that a signal has cut short (SIGSTOP, a debugger) for a full socket, and waits with an
 * edge-triggered epoll for room that was there all the time. Setting this option, to its default, makes Linux report
 * room once more; where there is none, nothing happens. */
static void report_room(int fd)
{
    static const unsigned as_the_system_says = 0;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &as_the_system_says, sizeof as_the_system_says);
}

static int is_answering(struct conn_timer *timer, int64_t deadline_ms)
{
    return deadline_ms != INT64_MAX && !atomic_load_explicit(&timer->receiving, memory_order_relaxed);
}

/* The lock is held. */
static void check_timers(struct conn_timeout *p, int64_t now_ms)
{
    struct conn_timer *timer;
    DL_FOREACH(p->timers, timer)
    {
        int64_t deadline_ms = atomic_load_explicit(&timer->deadline_ms, memory_order_relaxed);
        if (deadline_ms < now_ms || has_left(timer, deadline_ms) || is_cut_short(timer))
            (void)shutdown(timer->fd, SHUT_RDWR);
        else if (is_answering(timer, deadline_ms))
            report_room(timer->fd);
    }
}

static void make_calls(struct call *calls)
{
    while (calls) {
        struct call *one = calls;
        calls = one->next;
        one->fn(one->arg);
        free(one);
    }
}

static void conn_timeout_run(void *arg)
{
    struct conn_timeout *p = arg;
    int go_on;
    lock_take(&p->thread.lock);
    do {
        go_on = thread_wait_locked(&p->thread, clock_monotonic_ms() + CHECK_MS);
        check_timers(p, clock_monotonic_ms());
        struct call *calls = p->calls;
        p->calls = NULL;
        lock_give(&p->thread.lock);
        make_calls(calls);
        lock_take(&p->thread.lock);
    } while (go_on);
    lock_give(&p->thread.lock);
}

void conn_timeout_check(struct conn_timeout *p, int64_t now_ms)
{
    lock_take(&p->thread.lock);
    check_timers(p, now_ms);
    lock_give(&p->thread.lock);
}

int conn_timeout_start(struct conn_timeout **ret)
{
    struct conn_timeout *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    thread_init(&p->thread, LOCK_conn_timeout);
    int r = thread_start(&p->thread, "conn-timeout", conn_timeout_run, p);
    if (r < 0) {
        thread_destroy(&p->thread);
        free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void conn_timeout_stop(struct conn_timeout *p)
{
    if (!p)
        return;
    (void)!thread_stop(&p->thread, THREAD_NEVER);
    thread_destroy(&p->thread);
    free(p);
}

static void set_deadline(struct conn_timer *timer, int64_t deadline_ms, int receiving)
{
    if (!timer)
        return;
    atomic_store_explicit(&timer->receiving, receiving, memory_order_relaxed);
    atomic_store_explicit(&timer->deadline_ms, deadline_ms, memory_order_relaxed);
}

struct conn_timer *conn_timeout_add(struct conn_timeout *p, int fd)
{
    struct conn_timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    timer->fd = fd;
    timer->file = -1;
    lock_init(&timer->file_lock, LOCK_conn_file);
    set_deadline(timer, clock_monotonic_ms() + FIRST_HEAD_MS, 1);
    lock_take(&p->thread.lock);
    DL_APPEND(p->timers, timer);
    lock_give(&p->thread.lock);
    return timer;
}

void conn_timeout_remove(struct conn_timeout *p, struct conn_timer *timer)
{
    if (!timer)
        return;
    lock_take(&p->thread.lock);
    DL_DELETE(p->timers, timer);
    lock_give(&p->thread.lock);
    lock_destroy(&timer->file_lock);
    free(timer);
}

static void set_file(struct conn_timer *timer, int fd, int64_t end)
{
    lock_take(&timer->file_lock);
    timer->file = fd;
    timer->file_end = end;
    lock_give(&timer->file_lock);
}

void conn_timeout_file(struct conn_timer *timer, int fd, int64_t end)
{
    if (timer)
        set_file(timer, fd, end);
}

void conn_timeout_head(struct conn_timer *timer)
{
    if (timer && timer->file >= 0)
        set_file(timer, -1, 0);
    set_deadline(timer, clock_monotonic_ms() + NEXT_HEAD_MS, 1);
}

void conn_timeout_body(struct conn_timer *timer)
{
    if (!timer)
        return;
    timer->body_began_ms = clock_monotonic_ms();
    timer->body_bytes = 0;
    conn_timeout_received(timer, 0);
}

void conn_timeout_received(struct conn_timer *timer, size_t bytes)
{
    if (!timer)
        return;
    timer->body_bytes += (int64_t)bytes;
    set_deadline(timer, timer->body_began_ms + TRANSFER_MS + timer->body_bytes / BYTES_PER_MS, 1);
}

void conn_timeout_none(struct conn_timer *timer)
{
    set_deadline(timer, INT64_MAX, 0);
}

void conn_timeout_answer(struct conn_timer *timer, int64_t bytes)
{
    set_deadline(timer, clock_monotonic_ms() + TRANSFER_MS + bytes / BYTES_PER_MS, 0);
}

void conn_timeout_call_later(struct conn_timeout *p, void (*fn)(void *arg), void *arg)
{
    struct call *one = malloc(sizeof *one);
    if (!one) {
        fn(arg);
        return;
    }
    *one = (struct call){fn, arg, NULL};
    lock_take(&p->thread.lock);
    LL_PREPEND(p->calls, one);
    lock_give(&p->thread.lock);
}
