#include "process/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

enum subprocess_session supervise_session(void)
{
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0)
        return SUBPROCESS_OWN_GROUP;
    close(terminal);
    return SUBPROCESS_OUR_SESSION;
}

/* Clears away what has ended. 1 when `pid` was among it, -errno when there are no children at all, else 0. */
static int reap(pid_t pid, int *ret_status)
{
    int status, found = 0;
    pid_t r;
    while ((r = waitpid(-1, &status, WNOHANG)) > 0) {
        if (r == pid) {
            *ret_status = status;
            found = 1;
        }
    }
    return found || r == 0 ? found : -errno;
}

int supervise(pid_t pid, enum subprocess_session session, struct stop_signals *s, int *ret_status)
{
    for (;;) {
        int r = reap(pid, ret_status);
        if (r != 0 && r != -EINTR)
            return r < 0 ? r : 0;
        if (stop_signals_wait(s, INT64_MAX))
            subprocess_relay(pid, session, s);
    }
}

void supervise_reap(void)
{
    int status;
    (void)reap(0, &status);
}
