/* What the pool needs of a connection; private to client/db*.c. */
#ifndef CLIENT_DB_CONN_H
#define CLIENT_DB_CONN_H

#include "client/db.h"
#include "client/db_watch.h"

/* Whether libpq can read the connection string. -EINVAL with a text that does not show it. */
int db_conn_check_url(const char *url, struct error *e) __attribute__((warn_unused_result));

/* Connects; the options' strings and the watch must live as long as the connection. -ENOTCONN; *ret_reached (untouched
 * else) becomes 1 when the server let us in, be it that the connection was lost after that. */
int db_conn_open(struct db_conn **ret, struct db_pool *pool, const struct db_options *options, struct db_watch *watch,
                 int *ret_reached, struct error *e) __attribute__((warn_unused_result));

void db_conn_close(struct db_conn *conn);

/* Receives and drops whatever is in flight. */
void db_conn_drain(struct db_conn *conn);

/* Whether the connection is of no more use. */
int db_conn_lost(const struct db_conn *conn);

/* For an idle connection: whether the server is still at its other end, as far as can be told without asking it. One
 * that answered a moment ago is believed. */
int db_conn_alive(struct db_conn *conn);

struct db_pool *db_conn_pool(const struct db_conn *conn);

/* Takes back what db_limit set. */
void db_conn_unlimit(struct db_conn *conn);

/* This moment, or this thread's db_deadline if that comes first. */
int64_t db_conn_until(int64_t ms);

#endif
