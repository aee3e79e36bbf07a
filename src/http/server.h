/* The HTTP service (RFC 9110, 9112). */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdint.h>

#include "base/error.h"

struct http_server;
struct access;
struct adaptive;
struct feed;
struct store;
struct watch;
struct jobs;
struct auth;
struct sessions;
struct login_limit;
struct minutes;

/* What the routes work on. The caller sets the first ones, all borrowed; the others are the server's. */
struct http_service {
    struct store *store;
    struct watch *watch;       /* NULL: nothing is watched */
    struct feed *feed;         /* NULL: nothing is heard of what changes elsewhere */
    struct access *access;     /* NULL: nobody wants to know what is asked for */
    struct adaptive *adaptive; /* NULL: limits do not follow the hour */
    struct jobs *jobs;
    struct auth *auth;
    struct sessions *sessions;
    struct login_limit *login_limit; /* the thread's that logs in */
    struct minutes *minutes;
};

/* Listens on PERDURA_BIND and PERDURA_PORT (0: any free one) of the store's settings and serves. 0, or -errno with a
 * text that says what to do (-EADDRINUSE: the port is taken). */
int http_server_start(struct http_server **ret, const struct http_service *service, struct error *e)
    __attribute__((warn_unused_result));

/* The port it listens on. */
int http_server_port(const struct http_server *server);

/* Makes a token that logs whoever sends it in, once, within 15 minutes: behind /admin/#login= of the server's URL.
 * -EIO. */
#define HTTP_LOGIN_LINK_SIZE 44
int http_server_login_link(struct http_server *server, char ret[HTTP_LOGIN_LINK_SIZE])
    __attribute__((warn_unused_result));

/* Stops listening, lets what is under way end until deadline_ms (clock_monotonic_ms), then cuts it off. Frees. NULL is
 * allowed. -ETIMEDOUT: the database holds up some of it, and nothing was freed; it may be called again. */
int http_server_stop(struct http_server *server, int64_t deadline_ms) __attribute__((warn_unused_result));

#endif
