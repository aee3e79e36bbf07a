/* What the files of http/server share: server.c carries requests, server_life.c starts and stops it all. */
#ifndef HTTP_SERVER_INTERNAL_H
#define HTTP_SERVER_INTERNAL_H

#include <stdatomic.h>

#include "http/body_room.h"
#include "http/daemons.h"
#include "http/server.h"

struct http_server {
    const struct http_hooks *hooks;
    const struct api_service *service;
    struct store *store;
    const struct config *config;
    struct daemons *daemons;
    struct conn_timeout *conn_timeout;
    struct pools *pools;
    struct body_rooms body_rooms;
    atomic_int under_way;
    atomic_int suspended; /* or about to be */
    atomic_int stopping;
    atomic_int closing; /* no request is suspended any more */
    int port;
};

/* A daemons_make_fn; arg is the struct http_server. */
struct MHD_Daemon *server_make_daemon(void *arg, int listen_fd, int count);

#endif
