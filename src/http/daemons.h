/* The threads that carry connections: each is a libmicrohttpd daemon of its own, and all take connections off the same
 * listening socket. */
#ifndef HTTP_DAEMONS_H
#define HTTP_DAEMONS_H

struct daemons;
struct MHD_Daemon;

/* Starts one of the daemons, with a thread and an epoll set of its own, this listening socket and, of all `count`, its
 * share of whatever is limited. NULL: it can't. */
typedef struct MHD_Daemon *daemons_make_fn(void *arg, int listen_fd, int count);

/* Takes over listen_fd, in an error too. *ret is set before the first connection comes. 0 or -errno; *ret is NULL then.
 */
int daemons_start(struct daemons **ret, int listen_fd, int count, daemons_make_fn *make, void *arg)
    __attribute__((warn_unused_result));

/* To be told of each connection, 1 when it comes and -1 when it goes. Returns how many there are. */
int daemons_count(struct daemons *l, int change);

/* New connections are refused from now on. May be called again. */
void daemons_refuse(struct daemons *l);

/* Closes the connections; none may be suspended. Frees. NULL is allowed. */
void daemons_stop(struct daemons *l);

#endif
