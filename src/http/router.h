/* Which URL goes where: a table, tried from top to bottom. The API has it (api/routes.c). */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "base/metric.h"
#include "http/transaction.h"

struct config;

typedef void http_handler_fn(struct http_transaction *x);

enum http_access {
    HTTP_OPEN_TO_ALL,
    HTTP_DETAILS, /* likewise; more is told to those with a token or a session (x->detailed) */
    HTTP_TOKEN,
    HTTP_METRICS,
    HTTP_STATS,
    HTTP_UPLOAD,
    HTTP_SESSION
};

enum http_place {
    HTTP_INLINE, /* on the server's own thread: never waits */
    HTTP_WORKER, /* may wait for disk and database */
    HTTP_SLOW,   /* likewise, and for as long as it takes */
    HTTP_SERIAL, /* likewise, one request at a time */
};

enum http_body {
    HTTP_NO_BODY,
    HTTP_LOGIN_BODY, /* JSON, from anybody */
    HTTP_SMALL_BODY, /* JSON */
    HTTP_IMAGE_BODY,
    HTTP_FORM_BODY, /* upload_form.h */
};

struct http_route {
    enum metric_value label;
    const char *pattern; /* "/image-cache/jobs/{}": segments; a last "*" takes the rest. NULL: a collection's URL */
    unsigned methods;    /* enum http_method, or-ed; those of one pattern may stand in several rows */
    enum http_access access;
    enum http_place place;
    enum http_body body;
    http_handler_fn *handler;
};

/* Finds, in `routes` up to the first without a handler, the route of x->raw_path and sets x->route, x->tail and, for
 * collections, x->key.collection. Returns 0; 404; or 405 with *ret_allow, the methods that the path knows, and
 * x->route, the first one of this path. Trailing slashes do not count. */
int http_router_find(struct http_transaction *x, const struct http_route *routes, const struct config *config,
                     unsigned *ret_allow);

/* "GET, HEAD" for an or-ed set. */
const char *http_methods_text(unsigned set, char ret[64]);
enum http_method http_method_named(const char *name); /* 0: none of ours */

#endif
