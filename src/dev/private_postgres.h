/* A PostgreSQL server of our own (dev/private_server): no port, no password, no system service. */
#ifndef DEV_PRIVATE_POSTGRES_H
#define DEV_PRIVATE_POSTGRES_H

#include "dev/private_server.h"

struct private_postgres {
    struct private_server server; /* to be asked whether it runs, and to be stopped */
    char version[16];             /* "15" */
    char url[PATH_MAX + 64];      /* needs no quoting in a shell but for its ? and & */
    char initdb[PATH_MAX], postgres[PATH_MAX];
};

/* Makes a cluster, starts it and waits until it accepts connections. -ENOTCONN when there is no PostgreSQL or it does
 * not start (the last lines of its log are printed on stderr then); -ECANCELED when we were asked to stop. Nothing is
 * left running on failure. */
int private_postgres_start(struct private_postgres *pg, struct dev_folder *folder, struct stop_signals *signals,
                           struct error *e) __attribute__((warn_unused_result));

#endif
