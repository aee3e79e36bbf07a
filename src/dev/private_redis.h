/* A Redis server of our own (dev/private_server), which keeps nothing on disk. */
#ifndef DEV_PRIVATE_REDIS_H
#define DEV_PRIVATE_REDIS_H

#include "dev/private_server.h"

struct private_redis {
    struct private_server server; /* to be asked whether it runs, and to be stopped */
    char program[PATH_MAX];
    char url[PRIVATE_SERVER_SOCKET_SIZE + 16]; /* needs no quoting in a shell but for its ? */
};

/* Starts it and waits until it accepts connections. -ENOENT when there is no redis-server in PATH, -ENOTCONN when it
 * does not start (the last lines of its log are printed on stderr then); -ECANCELED when we were asked to stop. Nothing
 * is left running on failure, and `url` is "". */
int private_redis_start(struct private_redis *redis, struct dev_folder *folder, struct stop_signals *signals,
                        struct error *e) __attribute__((warn_unused_result));

#endif
