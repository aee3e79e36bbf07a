#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/db_fault.h"
#include "client/db_result.h"
#include "client/db_session.h"
#include "config/conninfo.h"

#define CONNECT_TIMEOUT_S "5"
#define GREETING_MS       5000
#define URL_MAX           ((size_t)1 << 20)
#define OLDEST_SERVER     130000
/* A connection that answered so lately is not looked at again. */
#define TRUSTED_MS 100
/* An idle server says little: reads until its last words and the end behind them have come. */
#define FINAL_READS 8
/* Behind a pooler the session cannot have the server refuse what row level security hides: it is looked at again. */
#define RECHECK_MS 10000

static _Thread_local int64_t thread_deadline_ms = INT64_MAX;

int db_session_lose(struct db_conn *conn, struct error *e)
{
    const char *message = PQerrorMessage(conn->s.pq);
    conn->s.lost = 1;
    if (!conn->s.pq || !*message)
        message = "the connection was lost";
    return error_set_sentence(e, DB_UNREACHABLE, "database: %.*s", DB_FIRST_LINE(message));
}

int db_session_malformed(struct db_conn *conn, struct error *e)
{
    /* libpq has a connection that it could not write to for a good one until it has read its end, too. */
    if (!db_session_answers(conn))
        return db_session_lose(conn, e);
    conn->s.lost = 1;
    return error_set_sentence(
        e, DB_MALFORMED,
        "the database server violated the protocol: check the proxy or pooler between Perdura and PostgreSQL");
}

/* A commit that the standby did not confirm is reported as success, with this warning beside it. The text is
 * translated by the server, the name of the function is not. */
void db_session_notice(void *arg, const PGresult *res)
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

static bool is_keyword(const char *name)
{
    PQconninfoOption *all = PQconndefaults();
    bool known = false;
    for (const PQconninfoOption *o = all; o && o->keyword && !known; o++)
        known = strcmp(o->keyword, name) == 0;
    PQconninfoFree(all);
    return known;
}

static int check_url(const char *url, struct error *e)
{
    char *why = NULL;
    PQconninfoOption *parsed = PQconninfoParse(url, &why);
    if (why)
        PQfreemem(why); /* it quotes the url, and with it the password */
    if (!parsed)
        return error_set_sentence(e, -EINVAL,
                                  "DATABASE_URL is not a PostgreSQL connection string; accepted: "
                                  "postgresql://user:password@host:port/database or host=... dbname=...");
    PQconninfoFree(parsed);
    return 0;
}

int db_conn_url_has_choice(const char *url)
{
    PQconninfoOption *parsed = PQconninfoParse(url, NULL);
    int choice = 0;
    for (const PQconninfoOption *o = parsed; o && o->keyword; o++) {
        int is_host = strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0;
        if (o->val && is_host)
            choice |= strchr(o->val, ',') != NULL;
        if (o->val && strcmp(o->keyword, "target_session_attrs") == 0)
            choice |= strcmp(o->val, "any") != 0;
    }
    PQconninfoFree(parsed);
    return choice;
}

int db_conn_url(const char *text, char **ret, const struct db_options *options, struct error *e)
{
    struct buf url, warning;
    buf_init(&url, URL_MAX);
    buf_init(&warning, URL_MAX);
    int r = conninfo_adapt(text, is_keyword, &url, &warning);
    if (r < 0)
        error_set_sentence(e, r, "DATABASE_URL: %s", r == -ENOMEM ? "out of memory" : "is too long");
    else
        r = check_url(url.data, e);
    if (r == 0 && warning.len && options->on_notice) {
        struct error told; /* cuts what is long */
        (void)error_set_sentence(&told, 0, "DATABASE_URL has parts that libpq does not know: %s", warning.data);
        options->on_notice(options->notice_arg, told.text);
    }
    buf_release(&warning);
    if (r < 0)
        buf_release(&url);
    else
        *ret = url.data;
    return r;
}

static int connected(struct db_conn *conn, struct error *e)
{
    if (PQstatus(conn->s.pq) != CONNECTION_OK) {
        const char *message = PQerrorMessage(conn->s.pq);
        return error_set_sentence(e, DB_UNREACHABLE, "cannot reach the database: %.*s", DB_FIRST_LINE(message));
    }
    int version = PQserverVersion(conn->s.pq);
    if (version < OLDEST_SERVER)
        return error_set_sentence(e, DB_UNREACHABLE, "the database server is PostgreSQL %d; 13 or newer is needed",
                                  version / 10000);
    if (!PQenterPipelineMode(conn->s.pq))
        return db_session_lose(conn, e);
    conn->s.slot = db_watch_take(conn->watch, PQsocket(conn->s.pq));
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
        return error_set_sentence(e, -ENOMEM, "out of memory");
    conn->pool = pool;
    conn->options = options;
    conn->watch = watch;
    conn->s.slot = -1;
    conn->s.generation = db_pool_generation(pool);
    conn->s.is_named = db_pool_names(pool);
    conn->timeout_ms = options->timeout_ms;
    conn->s.pq = PQconnectdbParams(names, values, 1);
    if (!conn->s.pq) {
        free(conn);
        return error_set_sentence(e, -ENOMEM, "out of memory");
    }
    PQsetNoticeReceiver(conn->s.pq, db_session_notice, conn);
    int r = connected(conn, e);
    if (r == 0) {
        *ret_reached = 1;
        r = db_conn_greet(conn, e);
    }
    if (r < 0) {
        db_conn_close(conn);
        return r;
    }
    *ret = conn;
    return 0;
}

/* A connection on which PostgreSQL would hide rows, or on which nothing is committed, is none. */
int db_conn_greet(struct db_conn *conn, struct error *e)
{
    struct db_params params;
    struct db_result *rows;
    int was_pinned = conn->is_pinned, was_named = conn->s.is_named;
    db_params_init(&params);
    db_param_int(&params, PQbackendPID(conn->s.pq));
    conn->is_pinned = 1;
    conn->s.is_named = 0; /* behind a pooler another client's statement may have the name */
    db_limit(conn, GREETING_MS);
    int r = db_query(conn, &sql_connection_begin, &params, &rows, e);
    conn->timeout_ms = conn->options->timeout_ms;
    conn->is_pinned = was_pinned;
    conn->s.is_named = was_named;
    if (r < 0)
        return r;
    conn->s.checked_ms = clock_monotonic_ms();
    conn->s.is_proxied = !db_int(rows, 0, 1);
    const char *hidden = db_text(rows, 0, 2);
    if (hidden)
        r = error_set_sentence(
            e, DB_ROW_SECURITY,
            "row level security applies to role \"%s\" and would hide stored files: ALTER TABLE %s DISABLE ROW "
            "LEVEL SECURITY, or ALTER ROLE ... BYPASSRLS",
            PQuser(conn->s.pq), hidden);
    db_result_free(rows);
    return r;
}

int db_conn_needs_greeting(const struct db_conn *conn)
{
    return conn->s.is_proxied && clock_monotonic_ms() - conn->s.checked_ms >= RECHECK_MS;
}

void db_session_end(struct db_conn *conn)
{
    if (conn->s.slot >= 0)
        db_watch_give(conn->watch, conn->s.slot);
    PQfinish(conn->s.pq);
    conn->s = (struct session){.slot = -1, .lost = 1};
}

void db_conn_close(struct db_conn *conn)
{
    db_session_end(conn);
    free(conn);
}

int db_conn_has_session(const struct db_conn *conn)
{
    return conn->s.pq != NULL;
}

int db_conn_generation(const struct db_conn *conn)
{
    return conn->s.generation;
}

void db_pin(struct db_conn *conn)
{
    conn->is_pinned = 1;
}

int db_conn_lost(const struct db_conn *conn)
{
    return conn->s.lost || PQstatus(conn->s.pq) != CONNECTION_OK;
}

int db_session_answers(struct db_conn *conn)
{
    struct pollfd fd = {.fd = PQsocket(conn->s.pq), .events = POLLIN};
    for (int i = 0; i < FINAL_READS && !db_conn_lost(conn); i++) {
        if (poll(&fd, 1, 0) == 0)
            return 1;
        if (!PQconsumeInput(conn->s.pq))
            conn->s.lost = 1;
    }
    return 0;
}

int db_conn_alive(struct db_conn *conn)
{
    if (clock_monotonic_ms() - conn->s.heard_ms < TRUSTED_MS)
        return !db_conn_lost(conn);
    return db_session_answers(conn);
}

int db_backend(const struct db_conn *conn)
{
    return PQbackendPID(conn->s.pq);
}

void db_limit(struct db_conn *conn, int timeout_ms)
{
    if (timeout_ms < conn->timeout_ms)
        conn->timeout_ms = timeout_ms;
}

void db_statement_limits(struct db_conn *conn, int lock_ms, int statement_ms)
{
    conn->lock_ms = lock_ms;
    conn->statement_ms = statement_ms;
}

void db_conn_reset(struct db_conn *conn)
{
    conn->timeout_ms = conn->options->timeout_ms;
    db_statement_limits(conn, 0, 0);
    conn->is_pinned = 0;
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

void db_session_arm(struct db_conn *conn)
{
    db_watch_arm(conn->watch, conn->s.slot, db_conn_until(clock_monotonic_ms() + conn->timeout_ms));
}

/* DB_TIMEOUT when the time ran out: what the server does with the statement is unknown, and the connection is gone. */
int db_session_disarm(struct db_conn *conn, struct error *e)
{
    if (!db_watch_disarm(conn->watch, conn->s.slot))
        return 0;
    conn->s.lost = 1;
    return error_set_sentence(e, DB_TIMEOUT, "the database did not answer in time");
}

/* Scripts */

static int script_error(struct db_conn *conn, const PGresult *res, struct error *e)
{
    const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
    struct error why;
    if (PQstatus(conn->s.pq) != CONNECTION_OK || !PQresultErrorField(res, PG_DIAG_SEVERITY))
        return db_session_lose(conn, e);
    int r = db_result_error(res, conn->s.pq, NULL, &why);
    return error_set_sentence(e, r, "%s%s%s", why.text, position ? ", at character " : "", position ? position : "");
}

/* A transaction begins with the script that says so, and ends with COMMIT or ROLLBACK. */
static int check_transaction(struct db_conn *conn, const PGresult *res, const char *script, struct error *e)
{
    PGTransactionStatusType status = PQtransactionStatus(conn->s.pq);
    int may_stay_open = conn->in_transaction || strstr(script, "BEGIN");
    conn->in_transaction = status != PQTRANS_IDLE;
    if (strncmp(script, "COMMIT", 6) == 0 && strcmp(PQcmdStatus((PGresult *)res), "COMMIT") == 0)
        may_stay_open = 0;
    else if (strncmp(script, "COMMIT", 6) == 0)
        status = PQTRANS_INERROR; /* the server rolled it back */
    else if (may_stay_open)
        return 0;
    if (status == PQTRANS_IDLE)
        return 0;
    conn->s.lost = 1;
    return error_set_sentence(e, DB_NOT_COMMITTED, "the database did not commit the transaction");
}

int db_script(struct db_conn *conn, const char *script, struct error *e)
{
    assert(conn->in_flight == 0);
    if (conn->s.lost || !PQexitPipelineMode(conn->s.pq))
        return db_session_lose(conn, e);
    conn->is_pinned = 1;
    PGresult *res = PQexec(conn->s.pq, script);
    ExecStatusType status = PQresultStatus(res);
    int r = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? check_transaction(conn, res, script, e)
                                                                    : script_error(conn, res, e);
    PQclear(res);
    if (r < 0 && !conn->s.lost)
        conn->in_transaction = PQtransactionStatus(conn->s.pq) != PQTRANS_IDLE;
    if (PQstatus(conn->s.pq) != CONNECTION_OK || !PQenterPipelineMode(conn->s.pq))
        conn->s.lost = 1;
    return r;
}
