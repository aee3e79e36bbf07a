/* One connection to a Redis server; private to client/redis*.c. */
#ifndef CLIENT_REDIS_CONN_H
#define CLIENT_REDIS_CONN_H

#include "client/redis.h"

#define REDIS_CONN_RUN_ID_SIZE 48

struct redis_conn;

struct redis_conn_options {
    const struct redis_url *url;
    struct tls_context *tls; /* NULL: none */
    int silence_ms;          /* while it is being opened, only the deadline counts */
    size_t reply_max_bytes;
};

/* Connects to the URL's server, or to the master that its Sentinels name; lets itself in, selects the database.
 * -ENOTCONN, -ETIMEDOUT, -EPROTO, -EACCES (the password). */
int redis_conn_open(struct redis_conn **ret, const struct redis_conn_options *o, int64_t deadline_ms, struct error *e)
    __attribute__((warn_unused_result));

/* Connects and does no more, for Sentinels. */
int redis_conn_dial(struct redis_conn **ret, const struct redis_conn_options *o, const struct redis_url_host *host,
                    int64_t deadline_ms, struct error *e) __attribute__((warn_unused_result));

/* Asks the Sentinels one after the other. */
int redis_sentinel_resolve(const struct redis_conn_options *o, int64_t deadline_ms, struct redis_url_host *ret,
                           struct error *e) __attribute__((warn_unused_result));

/* Sends the commands and waits for all answers. After a failure the connection is of no more use. */
int redis_conn_exchange(struct redis_conn *conn, const struct redis_client_commands *cmds, int64_t deadline_ms,
                        struct redis_client_replies *ret, struct error *e) __attribute__((warn_unused_result));

/* One command, for the few that are sent alone. */
int redis_conn_ask(struct redis_conn *conn, int argc, const char *const *argv, int64_t deadline_ms,
                   struct redis_client_replies *ret, struct error *e) __attribute__((warn_unused_result));

/* For an idle connection: whether nothing has come, neither its end nor an answer that nobody asked for. */
int redis_conn_is_quiet(const struct redis_conn *conn);

const char *redis_conn_run_id(const struct redis_conn *conn); /* of the server's process; "" when it does not tell */
const struct redis_url_host *redis_conn_host(const struct redis_conn *conn);
void redis_conn_close(struct redis_conn *conn); /* NULL is allowed */

#endif
