/* What the server answered: why it refused, and whether a result is what its query returns; private to client/db*.c. */
#ifndef CLIENT_DB_RESULT_H
#define CLIENT_DB_RESULT_H

#include <libpq-fe.h>

#include "base/error.h"

struct sql_query;

/* Why the server refused a statement, as text: returns the code (enum db_code). `pq` may be NULL. */
int db_result_error(const PGresult *res, const PGconn *pq, const struct sql_query *query, struct error *e);

/* Whether the server closes the connection after this error. */
int db_result_is_fatal(const PGresult *res);

/* Whether a refusal has this SQLSTATE. */
int db_result_is(const PGresult *res, const char *sqlstate);

/* Holds columns, types, nulls, lengths, number of rows and command of a successful result against what the query's file
 * declares. 0, or DB_MALFORMED: after it, the accessors of client/db.h may be used without looking again. */
int db_result_check(const PGresult *res, const struct sql_query *query, struct error *e)
    __attribute__((warn_unused_result));

/* The first line of one of libpq's messages, as "%.*s" takes it. */
#define DB_FIRST_LINE(message) (int)strcspn(message, "\n"), message

#endif
