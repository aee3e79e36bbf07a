/* A time limit for connections whose thread is blocked inside libpq.
 *
 * libpq's own non-blocking mode would do without this, but it moves all that is still unsent to the front of its buffer
 * after each partial write: for a message of 7 MB over a socket that takes 200 KB at a time that is more copying than
 * all else together. So the calls block, and a watcher shuts the socket down (shutdown(2)) when the time is over, which
 * makes the blocked call return with an error. */
#ifndef CLIENT_DB_WATCH_H
#define CLIENT_DB_WATCH_H

#include <stdint.h>

struct db_watch;

/* Room for `slots` connections; starts the thread. 0, -ENOMEM, -EAGAIN. */
int db_watch_start(struct db_watch **ret, int slots) __attribute__((warn_unused_result));
void db_watch_stop(struct db_watch *w); /* NULL is allowed */

/* A slot for a connection's life. There must be a free one. */
int db_watch_take(struct db_watch *w, int fd);
void db_watch_give(struct db_watch *w, int slot);

/* From now on until disarmed, the socket has until `deadline_ms` (clock_monotonic_ms). */
void db_watch_arm(struct db_watch *w, int slot, int64_t deadline_ms);

/* How many sockets have been armed for at least min_ms. *ret_longest_ms: for how long the first of them. */
int db_watch_armed(struct db_watch *w, int64_t min_ms, int64_t *ret_longest_ms);

/* Returns 1 when the time ran out and the socket was shut down. */
int db_watch_disarm(struct db_watch *w, int slot);

#endif
