/* A PostgreSQL server of our own, on a unix socket only: it needs no port, no password and no system service, and ends
 * with us, even when we are killed.
 *
 * Its files lie in <dev folder>/postgres, and its log is <dev folder>/postgres.log. PostgreSQL refuses to run as root:
 * then it runs as user `postgres` or `nobody`, and its files lie elsewhere when that user can't get at the folder. */
#ifndef DEV_PRIVATE_POSTGRES_H
#define DEV_PRIVATE_POSTGRES_H

#include <limits.h>
#include <sys/types.h>

#include "base/error.h"
#include "dev/dev_folder.h"
#include "process/stop_signals.h"
#include "process/subprocess.h"

struct private_postgres {
    pid_t pid;               /* 0: not running */
    char version[16];        /* "15" */
    char url[PATH_MAX + 64]; /* needs no quoting in a shell but for its ? and & */
    char socket_folder[PATH_MAX];
    char log[PATH_MAX];
    char home[PATH_MAX]; /* holds the data folder */
    char initdb[PATH_MAX], postgres[PATH_MAX];
    struct subprocess_user user;
    struct dev_folder *folder;
    struct stop_signals *signals;
};

/* Makes a cluster, starts it and waits until it accepts connections. -ENOTCONN when there is no PostgreSQL or it does
 * not start (the last lines of its log are printed on stderr then); -ECANCELED when we were asked to stop. Nothing is
 * left running on failure. */
int private_postgres_start(struct private_postgres *pg, struct dev_folder *folder, struct stop_signals *signals,
                           struct error *e) __attribute__((warn_unused_result));

/* Whether it still runs. Prints the last lines of its log when it does not. */
int private_postgres_running(struct private_postgres *pg);

/* Ends it: a fast shutdown, which asked to stop once more, or not done in time, becomes an immediate one. */
void private_postgres_stop(struct private_postgres *pg);

#endif
