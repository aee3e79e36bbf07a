/* What the servers that `perdura-dev` brings along have in common. Each is on a unix socket only, so that it needs no
 * port and no system service, keeps its files where `dev` removes them, and ends with us, even when we are killed.
 *
 * Its files lie in <dev folder>/<name>, and its log is <dev folder>/<name>.log. No server runs as root: when we are, it
 * has a user of its own, and its files lie elsewhere when that one can't get at the folder, as do sockets whose paths
 * would be too long there.
 *
 *     private_server_prepare -> private_server_spawn -> private_server_await -> private_server_running ... -> _stop */
#ifndef DEV_PRIVATE_SERVER_H
#define DEV_PRIVATE_SERVER_H

#include <limits.h>
#include <sys/types.h>

#include "base/error.h"
#include "dev/dev_folder.h"
#include "process/stop_signals.h"
#include "process/subprocess.h"

#define PRIVATE_SERVER_START_MS    60000
#define PRIVATE_SERVER_SOCKET_SIZE 108 /* as in sockaddr_un */

struct private_server_kind {
    const char *title;  /* in messages: "PostgreSQL" */
    const char *name;   /* of its folder and its log: "postgres" */
    const char *user;   /* whom it runs as when we are root; `nobody` where there is no such user */
    const char *socket; /* the name of its socket */
    struct private_server_way {
        int signal, patience_ms;
    } ways[4]; /* to end it, the gentlest first, then SIGKILL, then {0} */
};

struct private_server {
    const struct private_server_kind *kind;
    pid_t pid; /* 0: not running */
    struct subprocess_user user;
    char home[PATH_MAX]; /* what it works in, its own */
    char socket_folder[PATH_MAX];
    char socket[PRIVATE_SERVER_SOCKET_SIZE]; /* its path; this and its folder need no quoting in a URL or a shell */
    char log[PATH_MAX];
    struct dev_folder *folder;
    struct stop_signals *signals;
};

/* Finds its user and makes its folders. -ENOTCONN when it can't run here. */
int private_server_prepare(struct private_server *s, const struct private_server_kind *kind, struct dev_folder *folder,
                           struct stop_signals *signals, struct error *e) __attribute__((warn_unused_result));

/* Starts the program argv[0] as its user, in its folder, in a session of its own. The kernel sends it death_signal when
 * we are killed. */
int private_server_spawn(struct private_server *s, const char *const *argv, int death_signal, pid_t *ret,
                         struct error *e) __attribute__((warn_unused_result));

/* Waits until is_ready says so. -ENOTCONN when it ends meanwhile (then the last lines of its log are printed on stderr)
 * or takes longer than PRIVATE_SERVER_START_MS; -ECANCELED when we were asked to stop. */
int private_server_await(struct private_server *s, int (*is_ready)(const struct private_server *), struct error *e)
    __attribute__((warn_unused_result));

/* Whether it still runs. Prints the last lines of its log when it has ended since it was asked last. */
int private_server_running(struct private_server *s);

/* Prints the last lines of its log on stderr. */
void private_server_print_log(const struct private_server *s);

/* Ends it, if it runs: the next way follows when one has not done in time, or we are asked to stop once more. */
void private_server_stop(struct private_server *s);

#endif
