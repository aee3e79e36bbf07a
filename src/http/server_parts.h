/* What the files of http/server share: server.c carries requests, server_life.c starts and stops it all. */
#ifndef HTTP_SERVER_PARTS_H
#define HTTP_SERVER_PARTS_H

#include <stdatomic.h>

#include "http/body_room.h"
#include "http/login_limit.h"
#include "http/loops.h"
#include "http/server.h"

struct http_server {
    struct http_service service;
    struct login_limit login_limit;
    const struct config *config;
    struct loops *loops;
    struct patrol *patrol;
    struct pools *pools;
    struct body_rooms body_rooms;
    atomic_int under_way;
    atomic_int suspended; /* or about to be */
    atomic_int stopping;
    atomic_int closing; /* no request is suspended any more */
    int port;
};

/* A loops_make_fn; arg is the struct http_server. */
struct MHD_Daemon *server_make_daemon(void *arg, int listen_fd, int count);

#endif
