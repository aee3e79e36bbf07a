/* One connection and what is in flight on it; private to client/db*.c. */
#ifndef CLIENT_DB_SESSION_H
#define CLIENT_DB_SESSION_H

#include <libpq-fe.h>

#include "client/db_conn.h"
#include "sql.h"

struct statement {
    const struct sql_query *query;
    struct db_params params;
    int prepares; /* a Parse goes ahead and is answered first */
    int lock_ms, statement_ms;
    int limits; /* how many answers come before that: of the server's limits, and of their Parse */
};

/* What is replaced with a lost connection. */
struct session {
    PGconn *pq;       /* NULL: there is none any more */
    int slot;         /* in the watch; -1: none yet */
    int generation;   /* of the pool when it was opened */
    int64_t heard_ms; /* when it last answered */
    int64_t checked_ms;
    int lost;
    int is_proxied; /* another backend answers than the one that let us in: it has no state of ours */
    int is_named;   /* statements have names */
    unsigned char prepared[SQL_QUERIES];
};

struct db_conn {
    struct session s;
    struct db_pool *pool;
    const struct db_options *options;
    struct db_watch *watch;
    int timeout_ms;
    int lock_ms, statement_ms; /* the server's limits; 0: none of ours */
    int is_pinned;             /* its session has a state */
    int in_transaction;        /* of a script */
    int notified;              /* since that was asked last */
    int unconfirmed;           /* the server said that the standby did not confirm the commit */
    int repeated;              /* what is in flight was sent twice */
    int first, in_flight;
    struct statement statements[DB_IN_FLIGHT_MAX]; /* a ring */
};

/* The connection is of no more use: DB_UNREACHABLE, with libpq's message. */
int db_session_lose(struct db_conn *conn, struct error *e);

/* Likewise, for a server that sent what it must not: DB_MALFORMED. */
int db_session_malformed(struct db_conn *conn, struct error *e);

/* libpq blocks: each call into it that may wait stands between these two. DB_TIMEOUT when the time ran out: what the
 * server does with the statement is unknown, and the connection is gone. */
void db_session_arm(struct db_conn *conn);
int db_session_disarm(struct db_conn *conn, struct error *e);

/* Whether the server is still at the other end of an idle connection. */
int db_session_answers(struct db_conn *conn);

void db_session_end(struct db_conn *conn);

/* libpq's receiver of notices; arg is the connection. */
void db_session_notice(void *arg, const PGresult *res);

#endif
