/* What the pool needs of a connection; private to client/db*.c. */
#ifndef CLIENT_DB_CONN_H
#define CLIENT_DB_CONN_H

#include "client/db.h"
#include "client/db_watch.h"

/* The connection string for libpq, to be freed; what has to be dropped from it is a notice of the options. -EINVAL with
 * a text that does not show it. */
int db_conn_url(const char *text, char **ret, const struct db_options *options, struct error *e)
    __attribute__((warn_unused_result));

/* Whether another attempt may lead to another server: the string names several hosts, or what kind of server it wants.
 */
int db_conn_url_has_choice(const char *url);

/* Connects; the options' strings and the watch must live as long as the connection. -ENOTCONN; *ret_reached (untouched
 * else) becomes 1 when the server let us in, be it that the connection was lost after that. */
int db_conn_open(struct db_conn **ret, struct db_pool *pool, const struct db_options *options, struct db_watch *watch,
                 int *ret_reached, struct error *e) __attribute__((warn_unused_result));

void db_conn_close(struct db_conn *conn);

/* Receives and drops whatever is in flight. 0, or -ENOTCONN when the connection is of no more use. */
int db_conn_drain(struct db_conn *conn);

/* Asks the server how it will treat this session: whether row level security hides rows from us, whether a proxy leaves
 * our statements in a transaction. Behind a pooler, which gives us another backend each time, that is due again now and
 * then. */
int db_conn_greet(struct db_conn *conn, struct error *e) __attribute__((warn_unused_result));
int db_conn_needs_greeting(const struct db_conn *conn);

/* 0 after its session was lost and could not be replaced: the pool counts it no longer. */
int db_conn_has_session(const struct db_conn *conn);

/* The pool's generation when the session was opened. */
int db_conn_generation(const struct db_conn *conn);

/* Whether the connection is of no more use. */
int db_conn_lost(const struct db_conn *conn);

/* For an idle connection: whether the server is still at its other end, as far as can be told without asking it. One
 * that answered a moment ago is believed. */
int db_conn_alive(struct db_conn *conn);

struct db_pool *db_conn_pool(const struct db_conn *conn);

/* Takes back what db_limit and db_pin set. */
void db_conn_reset(struct db_conn *conn);

/* DB_READ_ONLY when a newer program's migration forbids this one to write; asks now and then. Nothing is in flight. */
int db_conn_may_write(struct db_conn *conn, struct error *e) __attribute__((warn_unused_result));

/* What a connection tells its pool, and asks it: */

/* The oldest version of the program that may write; "": any. The first: whether it is to be asked for, which the caller
 * does then, and, once it is known, nobody else for `every_ms`. NULL: it could not be read, and stays as it was. */
int db_pool_ask_version(struct db_pool *pool, int64_t now_ms, int every_ms);
void db_pool_set_version(struct db_pool *pool, const char *version);
void db_pool_version(struct db_pool *pool, char ret[DB_VERSION_SIZE]);

/* A connection of an earlier generation leads to a server that is not the right one any more, and is closed. */
int db_pool_generation(struct db_pool *pool);

/* Whether statements have names. With PERDURA_DB_PREPARED=auto, the first connection behind a pooler in transaction
 * mode ends that for all; 0: names are to stay. */
int db_pool_names(struct db_pool *pool);
int db_pool_stop_naming(struct db_pool *pool);

/* A statement was refused by a read-only server, which may have been the primary a moment ago: closes all connections,
 * so that the next ones find the new primary. 1 when another connection may accept the statement: for the first refusal
 * since something was written, and for one that comes from a connection of an earlier generation. */
int db_pool_read_only(struct db_pool *pool, int generation);
void db_pool_wrote(struct db_pool *pool);

/* The server has ended a session: all others of its generation are closed as well. */
void db_pool_distrust(struct db_pool *pool, int generation);

/* For a connection whose session is lost, which the pool forgets: another one. */
int db_pool_replace(struct db_pool *pool, struct db_conn **ret, struct error *e) __attribute__((warn_unused_result));

/* Around a wait for notifications: meanwhile the pool shuts the connection down when it closes all. -ENOTCONN: it has
 * to be closed already. */
int db_pool_wait_begin(struct db_pool *pool, struct db_conn *conn) __attribute__((warn_unused_result));
void db_pool_wait_end(struct db_pool *pool);

/* This moment, or this thread's db_deadline if that comes first. */
int64_t db_conn_until(int64_t ms);

#endif
