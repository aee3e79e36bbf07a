/* libmicrohttpd up to 1.0.1 has a flaw: MHD_epoll asks the kernel for 128 events at a time and, whenever it gets
 * exactly 128, asks again before it looks at any of them, with a wait that has no limit. If no event follows, 128
 * requests that are there stand still. So events do follow, from a timer in its epoll set, whenever there are so many
 * connections. Its events carry no pointer; libmicrohttpd takes them for a signal and passes over them. */
#include "http/daemons.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/lock.h"

#define MANY_CONNECTIONS 120 /* an event each; others are of the listening socket and of who resumes */
#define TICK_NS          20000000

struct loop {
    struct MHD_Daemon *daemon;
    int listen_fd;
};

struct daemons {
    struct lock lock; /* over the connections and whether the timer ticks */
    int connections;
    int timer_fd;
    int count;
    struct loop loop[];
};

static int let_tick(const struct loop *one, int timer_fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    int fd = MHD_get_daemon_info(one->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return epoll_ctl(fd, EPOLL_CTL_ADD, timer_fd, &event) < 0 ? -errno : 0;
}

static int start_loop(struct daemons *l, int listen_fd, int count, daemons_make_fn *make, void *arg)
{
    struct loop *one = &l->loop[l->count];
    one->listen_fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 0);
    if (one->listen_fd < 0)
        return -errno;
    one->daemon = make(arg, one->listen_fd, count);
    if (!one->daemon) {
        close(one->listen_fd);
        return -ENOMEM;
    }
    l->count++;
    return let_tick(one, l->timer_fd);
}

int daemons_start(struct daemons **ret, int listen_fd, int count, daemons_make_fn *make, void *arg)
{
    struct daemons *l = calloc(1, sizeof *l + (size_t)count * sizeof l->loop[0]);
    int r = l ? 0 : -ENOMEM;
    if (l) {
        *ret = l;
        lock_init(&l->lock, LOCK_connections);
        l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        r = l->timer_fd < 0 ? -errno : 0;
    }
    for (int i = 0; i < count && r == 0; i++)
        r = start_loop(l, listen_fd, count, make, arg);
    close(listen_fd);
    if (r < 0) {
        daemons_stop(l);
        *ret = NULL;
    }
    return r;
}

static void set_ticking(const struct daemons *l, int on)
{
    const struct timespec each = {0, on ? TICK_NS : 0};
    const struct itimerspec times = {each, each};
    (void)timerfd_settime(l->timer_fd, 0, &times, NULL);
}

int daemons_count(struct daemons *l, int change)
{
    lock_take(&l->lock);
    int was_many = l->connections >= MANY_CONNECTIONS;
    int n = l->connections += change;
    if (was_many != (n >= MANY_CONNECTIONS))
        set_ticking(l, !was_many);
    lock_give(&l->lock);
    return n;
}

void daemons_refuse(struct daemons *l)
{
    for (int i = 0; i < l->count; i++)
        (void)MHD_quiesce_daemon(l->loop[i].daemon); /* from here on the socket is ours */
    if (l->count)
        (void)shutdown(l->loop[0].listen_fd, SHUT_RDWR); /* all of them are one and the same */
}

void daemons_stop(struct daemons *l)
{
    if (!l)
        return;
    daemons_refuse(l);
    for (int i = 0; i < l->count; i++) {
        MHD_stop_daemon(l->loop[i].daemon);
        close(l->loop[i].listen_fd);
    }
    if (l->timer_fd >= 0)
        close(l->timer_fd);
    lock_destroy(&l->lock);
    free(l);
}
