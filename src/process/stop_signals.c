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
    *s = (struct stop_signals){0};
    sigaction(SIGPIPE, &ignore, &s->pipe_before);
    sigaction(SIGCHLD, &usual, &s->child_before); /* ignored, it would reap our children behind our back */
    sigaction(SIGHUP, NULL, &hangup);

    sigemptyset(&s->wanted);
    sigaddset(&s->wanted, SIGINT);
    sigaddset(&s->wanted, SIGTERM);
    sigaddset(&s->wanted, SIGQUIT);
    sigaddset(&s->wanted, SIGCHLD);
    if (hangup.sa_handler != SIG_IGN)
        sigaddset(&s->wanted, SIGHUP);
    sigprocmask(SIG_BLOCK, &s->wanted, &s->mask_before);
    s->fd = signalfd(-1, &s->wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->fd < 0)
        return error_set(e, -errno, "signals can't be waited for: %s", strerror(errno));
    return 0;
}

int stop_signals_add_others(struct stop_signals *s, struct error *e)
{
    static const int others[] = {SIGUSR1, SIGUSR2, SIGWINCH, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        sigaddset(&s->wanted, others[i]);
    sigprocmask(SIG_BLOCK, &s->wanted, NULL);
    if (signalfd(s->fd, &s->wanted, SFD_CLOEXEC | SFD_NONBLOCK) < 0)
        return error_set(e, -errno, "signals can't be waited for: %s", strerror(errno));
    return 0;
}

int stop_signals_is_stop(int number)
{
    return number == SIGINT || number == SIGTERM || number == SIGQUIT || number == SIGHUP;
}

int stop_signals_wait(struct stop_signals *s, int64_t deadline_ms)
{
    return stop_signals_wait_or(s, -1, deadline_ms);
}

int stop_signals_wait_or(struct stop_signals *s, int fd, int64_t deadline_ms)
{
    struct pollfd waiting[] = {{.fd = s->fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    struct signalfd_siginfo info;
    (void)poll(waiting, 2, clock_left_ms(deadline_ms));
    while (read(s->fd, &info, sizeof info) == sizeof info) {
        int number = (int)info.ssi_signo;
        if (number == SIGCHLD)
            continue;
        s->from_terminal = info.ssi_code == SI_KERNEL;
        s->latest = number;
        if (!s->first && stop_signals_is_stop(number))
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
    sigaction(SIGCHLD, &s->child_before, NULL);
    sigprocmask(SIG_SETMASK, &s->mask_before, NULL);
}
