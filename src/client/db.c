/* The only file that knows libpq. Protocol: PostgreSQL documentation, "Pipeline Mode" and "Asynchronous Command
 * Processing". */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/metric.h"
#include "client/db_conn.h"
#include "client/db_fault.h"
#include "client/db_wire.h"
#include "sql.h"

#define CONNECT_TIMEOUT_S "5"
#define GREETING_MS       5000
#define OLDEST_SERVER     130000
/* A connection that answered so lately is not looked at again. */
#define TRUSTED_MS 100
/* An idle server says little: reads until its last words and the end behind them have come. */
#define GOODBYE_READS 8
#define ROW_SECURITY_ADVICE                                                                                            \
    "row level security hides rows from the role of DATABASE_URL: ALTER TABLE ... DISABLE ROW LEVEL SECURITY for "     \
    "Perdura's tables, or ALTER ROLE ... BYPASSRLS"

struct flight {
    const struct sql_query *query;
    int prepares; /* a Parse went ahead and answers first */
};

struct db_conn {
    PGconn *pq;
    struct db_pool *pool;
    const struct db_options *options;
    struct db_watch *watch;
    int slot; /* -1: none yet */
    int timeout_ms;
    int64_t heard_ms; /* when it last answered */
    int lost;
    int notified;    /* since that was asked last */
    int unconfirmed; /* the server said that the standby did not confirm the commit */
    int first, in_flight;
    struct flight flights[DB_IN_FLIGHT_MAX]; /* a ring */
    unsigned char prepared[SQL_QUERIES];
};

static _Thread_local int64_t thread_deadline_ms = INT64_MAX;

/* First line of libpq's message, without its newline. */
static int first_line(const char *message)
{
    return (int)strcspn(message, "\n");
}

/* Row level security has no SQLSTATE of its own. Messages are translated, names of functions are not. */
static int is_row_security(const PGresult *res)
{
    const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);
    return function && (strcmp(function, "check_enable_rls") == 0 || strcmp(function, "ExecWithCheckOptions") == 0);
}

static int sqlstate_error(const PGresult *res, const struct sql_query *query, struct error *e)
{
    const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    const char *message = primary ? primary : PQresultErrorMessage(res);
    const struct db_sqlstate *row = db_sqlstate_find(sqlstate);

    if (row->code == DB_NO_PRIVILEGE && is_row_security(res))
        return error_set(e, DB_ROW_SECURITY, ROW_SECURITY_ADVICE " (%.*s)", first_line(message), message);
    if (row->advice)
        return error_set(e, row->code, "%s (%.*s)", row->advice, first_line(message), message);
    if (db_fault_state(row->code) != DB_STATE_UP)
        return error_set(e, row->code, "database: %.*s", first_line(message), message);
    return error_set(e, row->code, "database refused %s: %.*s%s%.*s [%s]", query ? query->name : "the statement",
                     first_line(message), message, detail ? ": " : "", detail ? first_line(detail) : 0,
                     detail ? detail : "", sqlstate);
}

static int lose(struct db_conn *conn, struct error *e)
{
    const char *message = PQerrorMessage(conn->pq);
    conn->lost = 1;
    if (!*message)
        message = "the connection was lost";
    return error_set(e, -ENOTCONN, "database: %.*s", first_line(message), message);
}

static int lost_by(const PGresult *res, struct error *e)
{
    const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    return error_set(e, DB_UNREACHABLE, "the database closed the connection: %.*s", message ? first_line(message) : 0,
                     message ? message : "");
}

/* A commit that the standby did not confirm is reported as success, with this warning beside it. The text is
 * translated by the server, the name of the function is not. */
static void receive_notice(void *arg, const PGresult *res)
{
    struct db_conn *conn = arg;
    const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);
    if (function && strcmp(function, "SyncRepWaitForLSN") == 0)
        conn->unconfirmed = 1;

    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    if (conn->options->on_notice && message && severity && strcmp(severity, "WARNING") == 0)
        conn->options->on_notice(conn->options->notice_arg, message);
}

int db_conn_check_url(const char *url, struct error *e)
{
    char *why = NULL;
    PQconninfoOption *parsed = PQconninfoParse(url, &why);
    if (why)
        PQfreemem(why); /* it quotes the url, and with it the password */
    if (!parsed)
        return error_set(e, -EINVAL,
                         "DATABASE_URL is not a PostgreSQL connection string; accepted: "
                         "postgresql://user:password@host:port/database or host=... dbname=...");
    PQconninfoFree(parsed);
    return 0;
}

static int connected(struct db_conn *conn, struct error *e)
{
    if (PQstatus(conn->pq) != CONNECTION_OK) {
        const char *message = PQerrorMessage(conn->pq);
        return error_set(e, -ENOTCONN, "cannot reach the database: %.*s", first_line(message), message);
    }
    int version = PQserverVersion(conn->pq);
    if (version < OLDEST_SERVER)
        return error_set(e, -ENOTCONN, "the database server is PostgreSQL %d; 13 or newer is needed", version / 10000);
    if (!PQenterPipelineMode(conn->pq))
        return lose(conn, e);
    conn->slot = db_watch_take(conn->watch, PQsocket(conn->pq));
    return 0;
}

int db_conn_open(struct db_conn **ret, struct db_pool *pool, const struct db_options *options, struct db_watch *watch,
                 int *ret_reached, struct error *e)
{
    /* Those before dbname are defaults that the url may override. */
    static const char *const names[] = {"connect_timeout",
                                        "keepalives_idle",
                                        "tcp_user_timeout",
                                        "fallback_application_name",
                                        "dbname",
                                        "client_encoding",
                                        NULL};
    const char *const values[] = {CONNECT_TIMEOUT_S, "60", "60000", "perdura", options->url, "UTF8", NULL};

    struct db_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return error_set(e, -ENOMEM, "out of memory");
    conn->pool = pool;
    conn->options = options;
    conn->watch = watch;
    conn->slot = -1;
    conn->timeout_ms = options->timeout_ms;
    conn->pq = PQconnectdbParams(names, values, 1);
    if (!conn->pq) {
        free(conn);
        return error_set(e, -ENOMEM, "out of memory");
    }
    PQsetNoticeReceiver(conn->pq, receive_notice, conn);
    int r = connected(conn, e);
    if (r < 0) {
        db_conn_close(conn);
        return r;
    }
    *ret_reached = 1;
    db_limit(conn, GREETING_MS);
    r = db_query(conn, &sql_connection_begin, NULL, NULL, e);
    if (db_conn_lost(conn)) {
        db_conn_close(conn);
        return r < 0 ? r : error_set(e, -ENOTCONN, "database: the connection was lost");
    }
    db_conn_unlimit(conn);
    *ret = conn;
    return 0;
}

void db_conn_close(struct db_conn *conn)
{
    if (conn->slot >= 0)
        db_watch_give(conn->watch, conn->slot);
    PQfinish(conn->pq);
    free(conn);
}

int db_conn_lost(const struct db_conn *conn)
{
    return conn->lost || PQstatus(conn->pq) != CONNECTION_OK;
}

int db_conn_alive(struct db_conn *conn)
{
    if (clock_monotonic_ms() - conn->heard_ms < TRUSTED_MS)
        return !db_conn_lost(conn);
    struct pollfd fd = {.fd = PQsocket(conn->pq), .events = POLLIN};
    for (int i = 0; i < GOODBYE_READS && !db_conn_lost(conn); i++) {
        if (poll(&fd, 1, 0) == 0)
            return 1;
        if (!PQconsumeInput(conn->pq))
            conn->lost = 1;
    }
    return 0;
}

void db_limit(struct db_conn *conn, int timeout_ms)
{
    if (timeout_ms < conn->timeout_ms)
        conn->timeout_ms = timeout_ms;
}

void db_conn_unlimit(struct db_conn *conn)
{
    conn->timeout_ms = conn->options->timeout_ms;
}

void db_deadline(int64_t deadline_ms)
{
    thread_deadline_ms = deadline_ms;
}

int64_t db_conn_until(int64_t ms)
{
    return ms < thread_deadline_ms ? ms : thread_deadline_ms;
}

struct db_pool *db_conn_pool(const struct db_conn *conn)
{
    return conn->pool;
}

/* libpq blocks: each call into it that may wait stands between these two. */
static void arm(struct db_conn *conn)
{
    db_watch_arm(conn->watch, conn->slot, db_conn_until(clock_monotonic_ms() + conn->timeout_ms));
}

/* -ETIMEDOUT when the time ran out: what the server does with the statement is unknown, and the connection is gone. */
static int disarm(struct db_conn *conn, struct error *e)
{
    if (!db_watch_disarm(conn->watch, conn->slot))
        return 0;
    conn->lost = 1;
    return error_set(e, -ETIMEDOUT, "the database did not answer in time");
}

int db_send(struct db_conn *conn, const struct sql_query *query, const struct db_params *params, struct error *e)
{
    static const struct db_params none;
    const struct db_params *p = params ? params : &none;
    const char *name = conn->options->prepared ? query->name : "";
    int prepares = !conn->options->prepared || !conn->prepared[query->index];
    int sent = 1;

    assert(conn->in_flight < DB_IN_FLIGHT_MAX);
    metric_inc(METRIC_db_queries);
    if (conn->lost)
        return error_set(e, -ENOTCONN, "database: the connection was lost");
    arm(conn);
    if (prepares)
        sent = PQsendPrepare(conn->pq, name, query->text, 0, NULL);
    sent = sent && PQsendQueryPrepared(conn->pq, name, p->count, p->values, p->lengths, p->formats, 1) &&
           PQpipelineSync(conn->pq);
    int r = disarm(conn, e);
    if (r == 0 && !sent)
        r = lose(conn, e);
    if (r < 0) {
        metric_inc(METRIC_db_errors);
        return r;
    }

    conn->flights[(conn->first + conn->in_flight) % DB_IN_FLIGHT_MAX] = (struct flight){query, prepares};
    conn->in_flight++;
    conn->prepared[query->index] = conn->options->prepared != 0;
    return 0;
}

/* The one result of a statement and the NULL behind it. */
static int statement_result(struct db_conn *conn, PGresult **ret, struct error *e)
{
    PGresult *res = PQgetResult(conn->pq);
    PGresult *end = res ? PQgetResult(conn->pq) : NULL;
    if (!res || end) {
        PQclear(end);
        PQclear(res);
        return lose(conn, e);
    }
    *ret = res;
    return 0;
}

static int sync_result(struct db_conn *conn, struct error *e)
{
    PGresult *res = PQgetResult(conn->pq);
    int synced = PQresultStatus(res) == PGRES_PIPELINE_SYNC;
    PQclear(res);
    return synced ? 0 : lose(conn, e);
}

/* After an error of this severity the server closes the connection. */
static int is_fatal(const PGresult *res)
{
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    return severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

/* 0 when the statement did its work, else why it did not. */
static int judge(struct db_conn *conn, const PGresult *res, const struct sql_query *query, struct error *e)
{
    ExecStatusType status = PQresultStatus(res);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return 0;
    if (!PQresultErrorField(res, PG_DIAG_SQLSTATE)) /* libpq's own message, not the server's */
        return lose(conn, e);
    int r = sqlstate_error(res, query, e);
    if (is_fatal(res) || r == DB_UNREACHABLE || r == DB_NOT_COMMITTED || r == DB_MALFORMED)
        conn->lost = 1;
    /* One that ended the connection says nothing about the statement. */
    return is_fatal(res) && db_fault_state(r) == DB_STATE_UP ? lost_by(res, e) : r;
}

/* The results of one flight: of its Parse if it had one, of the statement, of the Sync. *ret is the statement's. */
static int flight_results(struct db_conn *conn, struct flight flight, PGresult **ret, struct error *e)
{
    PGresult *res = NULL;
    int outcome = 0;
    if (flight.prepares) {
        int r = statement_result(conn, &res, e);
        if (r < 0)
            return r;
        outcome = judge(conn, res, flight.query, e);
        PQclear(res);
        if (outcome < 0)
            conn->prepared[flight.query->index] = 0;
    }
    int r = statement_result(conn, &res, outcome < 0 ? NULL : e);
    if (r < 0)
        return outcome < 0 ? outcome : r;
    if (outcome == 0)
        outcome = judge(conn, res, flight.query, e);
    if (!conn->lost) {
        r = sync_result(conn, outcome < 0 ? NULL : e);
        if (outcome == 0)
            outcome = r;
    }
    if (outcome < 0)
        PQclear(res);
    else
        *ret = res;
    return outcome;
}

/* libpq keeps every notification until it is asked for it. */
static void take_notifications(struct db_conn *conn)
{
    PGnotify *one;
    while ((one = PQnotifies(conn->pq))) {
        conn->notified = 1;
        PQfreemem(one);
    }
}

int db_wait_notified(struct db_conn *conn, int wake_fd, int64_t deadline_ms, struct error *e)
{
    struct pollfd fds[] = {{.fd = PQsocket(conn->pq), .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
    assert(conn->in_flight == 0);
    for (;;) {
        take_notifications(conn);
        if (conn->notified) {
            conn->notified = 0;
            return 1;
        }
        if (conn->lost)
            return error_set(e, -ENOTCONN, "database: the connection was lost");
        int n = poll(fds, 2, clock_left_ms(deadline_ms));
        if (n == 0 || (n > 0 && fds[1].revents))
            return 0;
        if (n > 0 && !PQconsumeInput(conn->pq))
            return lose(conn, e);
    }
}

void db_cut(struct db_conn *conn)
{
    (void)shutdown(PQsocket(conn->pq), SHUT_RDWR);
}

int db_recv(struct db_conn *conn, struct db_result **ret, struct error *e)
{
    assert(conn->in_flight > 0);
    PGresult *res = NULL;
    conn->unconfirmed = 0;
    arm(conn);
    int outcome = flight_results(conn, conn->flights[conn->first], &res, e);
    int late = disarm(conn, outcome < 0 ? e : NULL);
    if (late < 0 && outcome < 0)
        outcome = late;
    take_notifications(conn);
    conn->heard_ms = clock_monotonic_ms();
    conn->first = (conn->first + 1) % DB_IN_FLIGHT_MAX;
    conn->in_flight--;
    if (outcome == 0 && conn->unconfirmed)
        outcome = error_set(e, -EAGAIN, "the commit was not confirmed by the standby: not acknowledged");

    if (outcome < 0)
        metric_inc(METRIC_db_errors);
    if (outcome < 0 || !ret)
        PQclear(res);
    else
        *ret = (struct db_result *)res;
    return outcome;
}

int db_query(struct db_conn *conn, const struct sql_query *query, const struct db_params *params,
             struct db_result **ret, struct error *e)
{
    int r = db_send(conn, query, params, e);
    return r < 0 ? r : db_recv(conn, ret, e);
}

void db_conn_drain(struct db_conn *conn)
{
    while (conn->in_flight && !db_conn_lost(conn))
        (void)!db_recv(conn, NULL, NULL);
}

static int script_error(PGconn *pq, const PGresult *res, struct error *e)
{
    const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
    if (PQstatus(pq) != CONNECTION_OK || !message) {
        message = PQerrorMessage(pq);
        return error_set(e, -ENOTCONN, "database: %.*s", first_line(message), message);
    }
    return error_set(e, -EINVAL, "%.*s%s%.*s%s%s", first_line(message), message, detail ? ": " : "",
                     detail ? first_line(detail) : 0, detail ? detail : "", position ? ", at character " : "",
                     position ? position : "");
}

int db_script(struct db_conn *conn, const char *script, struct error *e)
{
    assert(conn->in_flight == 0);
    if (conn->lost || !PQexitPipelineMode(conn->pq))
        return lose(conn, e);
    PGresult *res = PQexec(conn->pq, script);
    ExecStatusType status = PQresultStatus(res);
    int r = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : script_error(conn->pq, res, e);
    PQclear(res);
    if (PQstatus(conn->pq) != CONNECTION_OK || !PQenterPipelineMode(conn->pq))
        conn->lost = 1;
    return r;
}

static const PGresult *rows_of(const struct db_result *r)
{
    return (const PGresult *)r;
}

int db_rows(const struct db_result *r)
{
    return PQntuples(rows_of(r));
}

int db_is_null(const struct db_result *r, int row, int col)
{
    return PQgetisnull(rows_of(r), row, col);
}

const char *db_text(const struct db_result *r, int row, int col)
{
    return db_is_null(r, row, col) ? NULL : PQgetvalue(rows_of(r), row, col);
}

const void *db_bytes(const struct db_result *r, int row, int col, size_t *ret_n)
{
    *ret_n = (size_t)PQgetlength(rows_of(r), row, col);
    return PQgetvalue(rows_of(r), row, col);
}

int64_t db_int(const struct db_result *r, int row, int col)
{
    const unsigned char *at = (const unsigned char *)PQgetvalue(rows_of(r), row, col);
    int n = PQgetlength(rows_of(r), row, col);
    if (n <= 0 || n > 8)
        return 0;
    uint64_t value = n > 1 && at[0] & 0x80 ? UINT64_MAX : 0; /* sign; a bool is one byte of 0 or 1 */
    for (int i = 0; i < n; i++)
        value = value << 8 | at[i];
    return (int64_t)value;
}

int64_t db_time(const struct db_result *r, int row, int col)
{
    return db_is_null(r, row, col) ? 0 : db_int(r, row, col) + DB_EPOCH_US;
}

void db_result_free(struct db_result *r)
{
    PQclear((PGresult *)r);
}
