/* Being asked to stop (Ctrl-C, kill, a terminal that closes) as something to look at, instead of a blow: the signals
 * are blocked and read from a descriptor, so that whatever was started and written can be put away first.
 *
 * For one thread, before any other is started: they inherit what is blocked. */
#ifndef PROCESS_STOP_SIGNALS_H
#define PROCESS_STOP_SIGNALS_H

#include <signal.h>
#include <stdint.h>

#include "base/error.h"

struct stop_signals {
    int fd;
    int first; /* the first that came, 0: none yet */
    int latest;
    int from_terminal; /* whether the latest went to the terminal's whole foreground group, not to us alone */
    sigset_t wanted;
    sigset_t mask_before; /* for children, who shall find things as we found them */
    struct sigaction pipe_before, child_before;
};

/* SIGINT, SIGTERM, SIGQUIT and, unless it is ignored (nohup), SIGHUP are for stop_signals_wait from now on. SIGPIPE is
 * ignored. Stays so until the process ends, so that a last signal can't cut its putting away short. */
int stop_signals_open(struct stop_signals *s, struct error *e) __attribute__((warn_unused_result));

/* For who has a child to hand signals on to: stop_signals_wait also returns SIGUSR1, SIGUSR2, SIGWINCH, SIGTTIN and
 * SIGTTOU, which ask nobody to stop. */
int stop_signals_add_others(struct stop_signals *s, struct error *e) __attribute__((warn_unused_result));

/* Waits until one of them comes, a child changes, or deadline_ms (clock_monotonic_ms) is there. Returns the signal that
 * came, else 0. */
int stop_signals_wait(struct stop_signals *s, int64_t deadline_ms);

/* As stop_signals_wait, and returns 0 also when `fd` can be read (-1: none). */
int stop_signals_wait_or(struct stop_signals *s, int fd, int64_t deadline_ms);

/* Whether this signal asks to stop. */
int stop_signals_is_stop(int number);

/* Whether we were asked to stop; takes note of what has come by now. */
int stop_signals_asked(struct stop_signals *s);

/* In a child between fork and exec. Async-signal-safe. */
void stop_signals_undo(const struct stop_signals *s);

#endif
