/* Children: started with care, waited for with a deadline, none of them left behind. */
#ifndef PROCESS_SUBPROCESS_H
#define PROCESS_SUBPROCESS_H

#include <limits.h>
#include <sys/types.h>

#include "base/error.h"
#include "process/stop_signals.h"

/* Somebody to become. */
struct subprocess_user {
    uid_t uid;
    gid_t gid;
    char name[64];
};

enum subprocess_session {
    SUBPROCESS_OUR_SESSION, /* in the terminal's foreground group if we are: Ctrl-C reaches it as well */
    SUBPROCESS_OWN_GROUP,   /* what is sent to our group does not reach it */
    SUBPROCESS_OWN_SESSION
};

struct subprocess {
    const char *path; /* of the program */
    char *const *argv;
    char *const *env;                   /* NULL: ours */
    const char *folder;                 /* to work in; NULL: ours */
    const struct subprocess_user *user; /* NULL: as ourselves */
    int output; /* descriptor for its stdout and stderr, stdin is empty then; -1: it shares our three */
    int held;   /* one more descriptor that it keeps open for as long as it lives; -1: none */
    enum subprocess_session session;
    int death_signal; /* what the kernel sends it when we die; meant is the thread that started it */
    const struct stop_signals *signals;
};

/* Whatever is opened from now on shall not be taken for stdin, stdout or stderr. */
void subprocess_standard_descriptors(void);

/* Puts the path of a program found in PATH (or of `name` itself when it holds a slash) into ret. -ENOENT, -EACCES. */
int subprocess_find(const char *name, char ret[PATH_MAX]) __attribute__((warn_unused_result));

/* Starts it. -errno, with a text, when the program could not be started; then there is no child. */
int subprocess_start(const struct subprocess *p, pid_t *ret, struct error *e) __attribute__((warn_unused_result));

/* Whether the program's user gets at `folder` and may write there: 1 or 0. */
int subprocess_reaches(const struct subprocess_user *user, const char *folder);

/* Waits for a child's end. 0 (*ret_status as of wait(2)), -ETIMEDOUT, or -EINTR when a stop signal came meanwhile. */
int subprocess_wait(pid_t pid, struct stop_signals *s, int64_t deadline_ms, int *ret_status)
    __attribute__((warn_unused_result));

/* Ends a child that leads a session of its own, and what else is in its process group: it is killed, and the others are
 * given time to see that it is gone. */
void subprocess_end_session(pid_t pid, struct stop_signals *s);

/* The exit code as a shell tells it: 128 + the signal that ended it. */
int subprocess_code(int status);

/* Hands the latest signal on to a child, unless the terminal has sent it to both of us. */
void subprocess_relay(pid_t pid, enum subprocess_session session, const struct stop_signals *s);

/* Makes us the parent of descendants whose own parents are gone, so that subprocess_end_others can find them. */
void subprocess_adopt(void);

/* Ends every child that there is but those that were there before subprocess_adopt. They are left alone until ask_ms
 * (clock_monotonic_ms), then they get SIGTERM, and SIGKILL at kill_ms. A stop signal that comes meanwhile is for them,
 * too. Returns at once when there are none. */
void subprocess_end_others(struct stop_signals *s, int64_t ask_ms, int64_t kill_ms);

#endif
