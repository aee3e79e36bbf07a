#include "process/stop_signals.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"

int stop_signals_open(struct stop_signals *s, struct error *e)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN}, usual = {.sa_handler = SIG_DFL};
    struct sigaction hangup;
    sigset_t wanted;
    *s = (struct stop_signals){0};
    sigaction(SIGPIPE, &ignore, &s->pipe_before);
    sigaction(SIGCHLD, &usual, NULL); /* ignored, it would reap our children behind our back */
    sigaction(SIGHUP, NULL, &hangup);

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGQUIT);
    sigaddset(&wanted, SIGCHLD);
    if (hangup.sa_handler != SIG_IGN)
        sigaddset(&wanted, SIGHUP);
    sigprocmask(SIG_BLOCK, &wanted, &s->mask_before);
    s->fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->fd < 0)
        return error_set(e, -errno, "signals can't be waited for: %s", strerror(errno));
    return 0;
}

int stop_signals_wait(struct stop_signals *s, int64_t deadline_ms)
{
    struct pollfd waiting = {.fd = s->fd, .events = POLLIN};
    struct signalfd_siginfo info;
    (void)poll(&waiting, 1, clock_left_ms(deadline_ms));
    while (read(s->fd, &info, sizeof info) == sizeof info) {
        int number = (int)info.ssi_signo;
        if (number == SIGCHLD)
            continue;
        s->from_terminal = info.ssi_code == SI_KERNEL;
        s->latest = number;
        if (!s->first)
            s->first = number;
        return number;
    }
    return 0;
}

int stop_signals_asked(struct stop_signals *s)
{
    while (stop_signals_wait(s, 0))
        ;
    return s->first;
}

void stop_signals_undo(const struct stop_signals *s)
{
    sigaction(SIGPIPE, &s->pipe_before, NULL);
    sigprocmask(SIG_SETMASK, &s->mask_before, NULL);
}
