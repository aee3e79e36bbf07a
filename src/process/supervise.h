/* Watching over one child as an init does, whether we are process 1 or not: signals are handed on to it, and whatever
 * else ends is cleared away. For who has no other children to wait for. */
#ifndef PROCESS_SUPERVISE_H
#define PROCESS_SUPERVISE_H

#include "process/subprocess.h"

/* Where a child that takes our place belongs: with us where there is a terminal, whose Ctrl-C and Ctrl-Z then reach
 * both, else in a group of its own, so that a signal to our group does not reach it twice. */
enum subprocess_session supervise_session(void);

/* Waits for the child's end, however long it takes. 0 (*ret_status as of wait(2)), or -errno when it was never ours. */
int supervise(pid_t pid, enum subprocess_session session, struct stop_signals *s, int *ret_status)
    __attribute__((warn_unused_result));

/* Clears away every child that has ended. */
void supervise_reap(void);

#endif
