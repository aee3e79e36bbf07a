/* The HTTP service (RFC 9110, 9112). */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdint.h>

#include "base/error.h"

struct http_server;
struct http_transaction;
struct http_route;
struct api_service;
struct store;

/* What the transport calls; it knows nothing else of what requests mean. */
struct http_hooks {
    const struct http_route *routes; /* up to the first without a handler */
    /* Lets a request in, or answers it: 0. 1: its session has to be looked up first, by authorize_session, which runs
     * on a thread that may wait. */
    int (*authorize)(struct http_transaction *x);
    void (*authorize_session)(struct http_transaction *x);
    void (*begin_form)(struct http_transaction *x);       /* the head of a form is there: begins the form, or answers */
    void (*finish_answer)(struct http_transaction *x);    /* adds the headers that all answers of a route have */
    void (*stop_jobs)(const struct api_service *service); /* those that run end soon, and none begins */
    int (*jobs_running)(const struct api_service *service); /* how many still do */
};

/* Listens on PERDURA_BIND and PERDURA_PORT (0: any free one) of the store's settings and serves. All arguments are
 * borrowed; `service` becomes the transactions'. 0, or -errno with a text that says what to do (-EADDRINUSE: the port
 * is taken). */
int http_server_start(struct http_server **ret, struct store *store, const struct http_hooks *hooks,
                      const struct api_service *service, struct error *e) __attribute__((warn_unused_result));

/* The port it listens on. */
int http_server_port(const struct http_server *server);

/* Stops listening, lets what is under way end until deadline_ms (clock_monotonic_ms), then cuts it off. Frees. NULL is
 * allowed. -ETIMEDOUT: the database holds up some of it, and nothing was freed; it may be called again. */
int http_server_stop(struct http_server *server, int64_t deadline_ms) __attribute__((warn_unused_result));

#endif
