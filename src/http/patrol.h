/* Deadlines for connections. libmicrohttpd's own timeout is of inactivity, and a peer that sends or takes one byte now
 * and then beats it. */
#ifndef HTTP_PATROL_H
#define HTTP_PATROL_H

#include <stddef.h>
#include <stdint.h>

struct patrol;
struct patrol_post; /* one connection */

int patrol_start(struct patrol **ret) __attribute__((warn_unused_result));
void patrol_stop(struct patrol *p); /* every connection has left; NULL is allowed */

/* A connection begins, with the deadline for its first head. NULL when out of memory: it goes without deadlines. */
struct patrol_post *patrol_enter(struct patrol *p, int fd);
/* It ends; its descriptor is still open. */
void patrol_leave(struct patrol *p, struct patrol_post *post);

/* What it has to do next. A connection that takes too long is shut down. NULL is allowed. */
void patrol_head(struct patrol_post *post); /* the next request's head, after a pause */
void patrol_body(struct patrol_post *post);
void patrol_received(struct patrol_post *post, size_t bytes); /* so much more of the body */
void patrol_rest(struct patrol_post *post);                   /* nothing: we are busy */
void patrol_answering(struct patrol_post *post, int64_t bytes);

/* Likewise, of a file up to byte `end`, whose descriptor stays open until patrol_head: should the file become shorter,
 * the connection is shut down. */
void patrol_file(struct patrol_post *post, int fd, int64_t end);

/* Calls fn(arg) at the patrol's next round, within a second, from its thread. Where there is no memory: at once. */
void patrol_call_later(struct patrol *p, void (*fn)(void *arg), void *arg);

#endif
