/* PostgreSQL: a small pool of connections, and queries sent through libpq's pipeline mode.
 *
 * A query is a file of sql/, embedded as a `struct sql_query`. On each connection it is prepared at its first use
 * (not behind a pooler in transaction mode). All values travel in binary, as parameters. Its result is held against
 * what the file declares; one that differs is DB_MALFORMED.
 *
 *     db_get -> [ db_send ]... -> [ db_recv ]... in the order sent -> db_put
 *
 * Each query is a transaction of its own; one that fails does not touch its neighbours in the pipeline. One that writes
 * is sent with nothing else in flight: only then can be seen that it is committed. A connection belongs to one thread
 * between db_get and db_put; the pool is shared.
 *
 * A connection that the server closed is replaced, once, without failing what is in flight: reads, writes that do the
 * same when they are sent twice (sql/ says which), and what was certainly not executed are sent again.
 *
 *
 * A failure returns one of enum db_code (client/db_fault.h), which also says what follows from it. */
#ifndef CLIENT_DB_H
#define CLIENT_DB_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct sql_query;
struct db_pool;
struct db_conn;
struct db_result;

struct db_options {
    const char *url;                                /* any libpq connection string */
    int max_connections;                            /* opened one at a time, when needed */
    int prepared;                                   /* enum config_prepared: whether statements have names */
    int measured;                                   /* its connections are those that the metrics tell of */
    int timeout_ms;                                 /* for one query, from its sending to its result */
    void (*on_notice)(void *arg, const char *text); /* warnings, of the server and of the pool; may be NULL */
    void *notice_arg;
    struct db_pool *leader; /* whenever this pool closes its connections, so does the new one; may be NULL */
};

#define DB_VERSION_SIZE 64

/* Whether schema_migration.compatible_from forbids this program to write: DB_READ_ONLY. Every statement that writes
 * asks that by itself. */
int db_version_forbids(const char *compatible_from, struct error *e) __attribute__((warn_unused_result));

/* Makes a pool; connects nothing. The options' strings are copied. 0, -ENOMEM, or -EINVAL for a malformed url (the
 * text does not show it: it may hold a password). */
int db_pool_open(struct db_pool **ret, const struct db_options *options, struct error *e)
    __attribute__((warn_unused_result));

/* Closes all connections. Every one must have been put back. NULL is allowed. */
void db_pool_close(struct db_pool *pool);

/* How many connections the pool may hold; and takes one off that for somebody who holds one beside the pool. */
int db_pool_size(struct db_pool *pool);
void db_pool_cede(struct db_pool *pool);

/* A connection, idle and healthy: a free one, a new one, or the next that is put back. DB_UNREACHABLE, DB_TIMEOUT. */
int db_get(struct db_pool *pool, struct db_conn **ret, struct error *e) __attribute__((warn_unused_result));

/* As db_get, for whoever is in the middle of some work: a server that was reached before and is not now is asked again,
 * with growing pauses, until `deadline_ms` (clock_monotonic_ms). One that was never reached fails at once. */
int db_get_again(struct db_pool *pool, struct db_conn **ret, int64_t deadline_ms, struct error *e)
    __attribute__((warn_unused_result));

/* For a query that may be sent twice: whether to send it again after the outcome `code`. Waits up to patience_ms, over
 * all calls, for a database that was reached before; not once *stopped is set (NULL is allowed). *deadline_ms is 0 at
 * first and kept between the calls. */
int db_ask_again(struct db_pool *pool, int code, int patience_ms, const atomic_int *stopped, int64_t *deadline_ms);

/* Why nothing is heard of the database: statements that have been under way, or an attempt to connect, for more than a
 * second. 0: there are none, and *e is untouched; else DB_TIMEOUT. */
int db_pool_waits(struct db_pool *pool, struct error *e) __attribute__((warn_unused_result));

/* For as long as it is held: no query may take longer than this, or than the pool's own limit. */
void db_limit(struct db_conn *conn, int timeout_ms);

/* For as long as it is held, or until set anew: the server itself ends a statement that waits longer than lock_ms for a
 * lock, or takes longer than statement_ms in all. It fails alone then, and the connection stays. Works behind poolers,
 * too: the limits are sent with each statement and end with its transaction. 0, 0: no such limits. */
void db_statement_limits(struct db_conn *conn, int lock_ms, int statement_ms);

/* For as long as it is held: its session has a state (LISTEN), so that it is not replaced by another one. */
void db_pin(struct db_conn *conn);

/* The process id of the backend that let us in. Behind a pooler other backends answer. */
int db_backend(const struct db_conn *conn);

/* For this thread, until it says otherwise: nothing but db_script waits longer than until `deadline_ms`
 * (clock_monotonic_ms; INT64_MAX: no deadline), however deep inside a call it is. For threads that work for somebody
 * who waits. */
void db_deadline(int64_t deadline_ms);

/* Gives it back. Results not yet received are waited for and dropped. A lost connection is closed. NULL is allowed. */
void db_put(struct db_conn *conn);

/* Gives it back to be closed, and with it what its session has (locks, settings). Nothing is in flight. */
void db_discard(struct db_conn *conn);

/* Gives a lost connection back and tries, with growing pauses, to get another until `deadline_ms` (clock_monotonic_ms).
 * *conn is replaced, or NULL on failure. */
int db_reconnect(struct db_conn **conn, struct db_pool *pool, int64_t deadline_ms, struct error *e)
    __attribute__((warn_unused_result));

/* Whether a code means that the database could not be asked (as opposed to: it answered). */
int db_unavailable(int code);

/* Parameters, in order. Text and bytes are borrowed until the query's result was received. */
#define DB_PARAMS_MAX 20

struct db_array;

struct db_params {
    int count;
    const char *values[DB_PARAMS_MAX];
    int lengths[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];
    char numbers[DB_PARAMS_MAX][8];
};

void db_params_init(struct db_params *p);
void db_param_text(struct db_params *p, const char *text);             /* NULL for an SQL null */
void db_param_bytes(struct db_params *p, const void *bytes, size_t n); /* for $n::bytea, and $n::text without a NUL */
void db_param_int(struct db_params *p, int64_t value);                 /* for $n::bigint */
void db_param_time(struct db_params *p, int64_t us);          /* for $n::timestamptz; microseconds since 1970 */
void db_param_array(struct db_params *p, struct db_array *a); /* for $n::type[]; not empty */

/* An array parameter in PostgreSQL's binary form (array_recv), built in place: large values are encoded straight
 * into it. */
enum db_type { DB_TEXT = 25, DB_BYTEA = 17, DB_INT8 = 20, DB_TIMESTAMPTZ = 1184 }; /* OIDs of pg_type */

struct db_array {
    struct buf buf;
    enum db_type type;
    int count;
    int has_null;
};

void db_array_init(struct db_array *a, enum db_type type, size_t max_bytes);
void db_array_release(struct db_array *a);
void db_array_reset(struct db_array *a);          /* empties it, keeps the memory */
void db_array_cut(struct db_array *a, int count); /* leaves the first `count` elements, of which it has that many */

/* Append one element. 0, -ENOMEM, -EMSGSIZE. */
int db_array_add(struct db_array *a, const void *bytes, size_t n) __attribute__((warn_unused_result));
int db_array_add_text(struct db_array *a, const char *text) __attribute__((warn_unused_result)); /* NULL: SQL null */
int db_array_add_int(struct db_array *a, int64_t value) __attribute__((warn_unused_result));
int db_array_add_time(struct db_array *a, int64_t us) __attribute__((warn_unused_result));
/* Append an element of n bytes that the caller writes to *ret at once. */
int db_array_reserve(struct db_array *a, size_t n, char **ret) __attribute__((warn_unused_result));
/* Append a copy of element `index` of another array of the same type. */
int db_array_copy(struct db_array *a, const struct db_array *from, int index) __attribute__((warn_unused_result));

/* Sends a query and returns when it is on its way. At most DB_IN_FLIGHT_MAX may wait to be received. */
#define DB_IN_FLIGHT_MAX 8

int db_send(struct db_conn *conn, const struct sql_query *query, const struct db_params *params, struct error *e)
    __attribute__((warn_unused_result));

/* Waits for the result of the oldest query sent and not yet received. With ret NULL the result is dropped. */
int db_recv(struct db_conn *conn, struct db_result **ret, struct error *e) __attribute__((warn_unused_result));

/* Both in one step. params may be NULL. */
int db_query(struct db_conn *conn, const struct sql_query *query, const struct db_params *params,
             struct db_result **ret, struct error *e) __attribute__((warn_unused_result));

/* Moves sequences that are behind their rows, which violates primary keys (DB_DUPLICATE), and warns of each
 * (db_options.on_notice). After 0, what failed with DB_DUPLICATE may succeed, even where no sequence was behind:
 * another connection may have moved it meanwhile. db_query does both once by itself; this is for callers of db_send. */
int db_advance_sequences(struct db_conn *conn, struct error *e) __attribute__((warn_unused_result));

/* Runs a script of several statements with the simple protocol (migrations), on a connection with nothing in flight,
 * without a time limit. The error's text names the server's message, detail and position. */
int db_script(struct db_conn *conn, const char *script, struct error *e) __attribute__((warn_unused_result));

/* For a connection that listens (LISTEN), held for as long as it shall: waits until it was notified since the last
 * call, on whatever channel. 1; 0 at `deadline_ms` (clock_monotonic_ms) or when wake_fd can be read; -ENOTCONN. */
int db_wait_notified(struct db_conn *conn, int wake_fd, int64_t deadline_ms, struct error *e)
    __attribute__((warn_unused_result));

/* From another thread than the one that holds the connection, which must not put it back meanwhile: whatever waits for
 * the server fails at once, and the connection is lost. */
void db_cut(struct db_conn *conn);

/* A result's rows. Values are valid until the result is freed; text ends in a NUL. */
int db_rows(const struct db_result *r);
int db_is_null(const struct db_result *r, int row, int col);
const char *db_text(const struct db_result *r, int row, int col); /* NULL for an SQL null */
const void *db_bytes(const struct db_result *r, int row, int col, size_t *ret_n);
int64_t db_int(const struct db_result *r, int row, int col);  /* smallint, int, bigint, bool; 0 for null */
int64_t db_time(const struct db_result *r, int row, int col); /* microseconds since 1970; 0 for null */
void db_result_free(struct db_result *r);                     /* NULL is allowed */

#endif
