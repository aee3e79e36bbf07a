/* Deadlines for connections. libmicrohttpd's own timeout is of inactivity, and a peer that sends or takes one byte now
 * and then beats it. */
#ifndef HTTP_CONN_TIMEOUT_H
#define HTTP_CONN_TIMEOUT_H

#include <stddef.h>
#include <stdint.h>

struct conn_timeout;
struct conn_timer; /* one connection */

int conn_timeout_start(struct conn_timeout **ret) __attribute__((warn_unused_result));
void conn_timeout_stop(struct conn_timeout *p); /* every connection has left; NULL is allowed */

/* A connection begins, with the deadline for its first head. NULL when out of memory: it goes without deadlines. */
struct conn_timer *conn_timeout_add(struct conn_timeout *p, int fd);
/* It ends; its descriptor is still open. */
void conn_timeout_remove(struct conn_timeout *p, struct conn_timer *timer);

/* What it has to do next. A connection that takes too long is shut down. NULL is allowed. */
void conn_timeout_head(struct conn_timer *timer); /* the next request's head, after a pause */
void conn_timeout_body(struct conn_timer *timer);
void conn_timeout_received(struct conn_timer *timer, size_t bytes); /* so much more of the body */
void conn_timeout_none(struct conn_timer *timer);                   /* nothing: we are busy */
void conn_timeout_answer(struct conn_timer *timer, int64_t bytes);

/* Likewise, of a file up to byte `end`, whose descriptor stays open until conn_timeout_head: should the file become
 * shorter, the connection is shut down. */
void conn_timeout_file(struct conn_timer *timer, int fd, int64_t end);

/* Shuts down the connections that are late at this time of CLOCK_MONOTONIC, and those whose peer has left. The thread
 * does so every second. */
void conn_timeout_check(struct conn_timeout *p, int64_t now_ms);

/* Calls fn(arg) within a second, from conn_timeout's thread. Where there is no memory: at once. */
void conn_timeout_call_later(struct conn_timeout *p, void (*fn)(void *arg), void *arg);

#endif
