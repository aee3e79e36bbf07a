/* Statements. Protocol: PostgreSQL documentation, "Pipeline Mode" and "Asynchronous Command Processing".
 *
 * What a failure of the connection means for statements in flight:
 *   1. Only the last statement in flight can be seen to be committed: libpq shows the transaction's state when nothing
 *      else is expected. So a statement that writes is in flight alone.
 *   2. A connection that is lost before the answer is replaced once, and what was in flight is sent again, if each
 *      statement only reads, does the same when it is sent twice (sql/), or was certainly not executed.
 *   3. A session that has a state (a transaction, LISTEN) is never replaced. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/metric.h"
#include "client/db_fault.h"
#include "client/db_result.h"
#include "client/db_session.h"

/* Sending */

static struct statement *statement_at(struct db_conn *conn, int index)
{
    return &conn->statements[(conn->first + index) % DB_IN_FLIGHT_MAX];
}

/* Numbers lie in the struct itself. */
static void copy_params(struct db_params *to, const struct db_params *from)
{
    *to = *from;
    for (int i = 0; i < from->count; i++)
        if (from->values[i] == from->numbers[i])
            to->values[i] = to->numbers[i];
}

/* Without a Sync. *ret_prepares: a Parse went ahead. */
static int send_query(struct db_conn *conn, const struct sql_query *query, const struct db_params *p, int *ret_prepares)
{
    const char *name = conn->s.is_named ? query->name : "";
    *ret_prepares = !conn->s.is_named || !conn->s.prepared[query->index];
    if (*ret_prepares && !PQsendPrepare(conn->s.pq, name, query->text, 0, NULL))
        return 0;
    return PQsendQueryPrepared(conn->s.pq, name, p->count, p->values, p->lengths, p->formats, 1);
}

static int send_limits(struct db_conn *conn, struct statement *s)
{
    struct db_params p;
    int prepares;
    s->limits = 0;
    if (!s->lock_ms)
        return 1;
    db_params_init(&p);
    db_param_int(&p, s->lock_ms);
    db_param_int(&p, s->statement_ms);
    int sent = send_query(conn, &sql_statement_limits, &p, &prepares);
    conn->s.prepared[sql_statement_limits.index] = conn->s.is_named != 0;
    s->limits = 1 + prepares;
    return sent;
}

static int send_statement(struct db_conn *conn, struct statement *s, struct error *e)
{
    const struct sql_query *query = s->query;

    metric_inc(METRIC_db_queries);
    db_session_arm(conn);
    int sent = send_limits(conn, s) && send_query(conn, query, &s->params, &s->prepares) && PQpipelineSync(conn->s.pq);
    int r = db_session_disarm(conn, e);
    if (r == 0 && !sent)
        r = db_session_lose(conn, e);
    if (r == 0)
        conn->s.prepared[query->index] = conn->s.is_named != 0;
    return r;
}

/* Everything in flight once more, on a connection that owes no answer. */
static int send_again(struct db_conn *conn)
{
    int r = 0;
    for (int i = 0; i < conn->in_flight && r == 0; i++)
        r = send_statement(conn, statement_at(conn, i), NULL);
    return r;
}

/* Another session instead of the lost one. On failure there is none. */
static int replace(struct db_conn *conn, struct error *e)
{
    struct db_conn *other;
    db_session_end(conn);
    int r = db_pool_replace(conn->pool, &other, e);
    if (r < 0)
        return r;
    conn->s = other->s;
    PQsetNoticeReceiver(conn->s.pq, db_session_notice, conn);
    free(other);
    return 0;
}

/* Before the first statement: the server has ended this session, or the pool wants it no longer (it leads to what is a
 * standby now). */
static int freshen(struct db_conn *conn, const struct sql_query *query, struct error *e)
{
    if (conn->is_pinned || !conn->s.pq)
        return 0;
    int stale = conn->s.generation != db_pool_generation(conn->pool);
    if (!stale && (!query->writes || query->repeatable || db_session_answers(conn)))
        return 0;
    return replace(conn, e);
}

int db_send(struct db_conn *conn, const struct sql_query *query, const struct db_params *params, struct error *e)
{
    assert(conn->in_flight < DB_IN_FLIGHT_MAX);
    assert(!conn->in_flight || (!query->writes && !statement_at(conn, 0)->query->writes));

    int r = query->writes && !conn->in_transaction && !conn->s.lost ? db_conn_may_write(conn, e) : 0;
    if (r < 0)
        return r;
    struct statement *s = statement_at(conn, conn->in_flight);
    s->query = query;
    s->lock_ms = conn->lock_ms;
    s->statement_ms = conn->statement_ms;
    db_params_init(&s->params);
    if (params)
        copy_params(&s->params, params);
    r = conn->in_flight ? 0 : freshen(conn, query, e);
    if (r == 0 && conn->s.lost)
        r = error_set_sentence(e, DB_UNREACHABLE, "database: the connection was lost");
    if (r == 0)
        r = send_statement(conn, s, e);
    if (r == 0)
        conn->in_flight++;
    else
        metric_inc(METRIC_db_errors);
    return r;
}

/* Receiving */

/* The one result of a statement and the NULL behind it. */
static int statement_result(struct db_conn *conn, PGresult **ret, struct error *e)
{
    PGresult *res = PQgetResult(conn->s.pq);
    PGresult *end = res ? PQgetResult(conn->s.pq) : NULL;
    if (!res || end) {
        PQclear(end);
        PQclear(res);
        return db_session_malformed(conn, e);
    }
    *ret = res;
    return 0;
}

/* 0 when the statement did its work, else why it did not. */
static int judge(struct db_conn *conn, const PGresult *res, const struct sql_query *query, struct error *e)
{
    ExecStatusType status = PQresultStatus(res);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return 0;
    if (!PQresultErrorField(res, PG_DIAG_SEVERITY)) /* libpq's own message, not the server's */
        return db_session_malformed(conn, e);
    int r = db_result_error(res, conn->s.pq, query, e);
    if (db_result_is_fatal(res) || r == DB_UNREACHABLE || r == DB_NOT_COMMITTED || r == DB_MALFORMED)
        conn->s.lost = 1;
    return r;
}

/* The end of a statement's transaction, which may fail as well: by a deferred constraint, a conflict between
 * serializable transactions, or the server's end. A proxy may have begun one around it: then nothing is committed. */
static int sync_result(struct db_conn *conn, const struct sql_query *query, struct error *e)
{
    PGresult *res = PQgetResult(conn->s.pq);
    int r = 0;
    if (PQresultErrorField(res, PG_DIAG_SEVERITY)) {
        r = judge(conn, res, query, e);
        PQclear(res);
        if (conn->s.lost)
            return r;
        res = PQgetResult(conn->s.pq);
        res = res ? res : PQgetResult(conn->s.pq); /* the NULL behind the error */
    }
    int synced = PQresultStatus(res) == PGRES_PIPELINE_SYNC;
    PQclear(res);
    if (!synced)
        return db_session_malformed(conn, e);
    if (r < 0 || conn->in_flight > 1 || conn->in_transaction || PQtransactionStatus(conn->s.pq) == PQTRANS_IDLE)
        return r;
    conn->s.lost = 1;
    return error_set_sentence(
        e, DB_NOT_COMMITTED,
        "the statement was left in an open transaction and is not committed: a proxy between Perdura and "
        "PostgreSQL began one; connect to the server directly, or correct the proxy");
}

enum repeat {
    REPEAT_NOT,
    REPEAT_UNNAMED,  /* the statement's name means nothing, or something else, to this backend */
    REPEAT_ELSEWHERE /* over another connection; nothing was executed */
};

/* Whether a refusal is one of this connection alone. */
static enum repeat repeat_after(const struct db_conn *conn, const PGresult *res)
{
    const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);
    int is_out_of_date = db_result_is(res, "0A000") && function && strcmp(function, "RevalidateCachedQuery") == 0;
    if (conn->s.is_named && is_out_of_date)
        return REPEAT_UNNAMED;
    if (conn->s.is_named && (db_result_is(res, "42P05") || db_result_is(res, "26000")))
        return db_pool_stop_naming(conn->pool) ? REPEAT_UNNAMED : REPEAT_NOT;
    if (db_result_is(res, "25006"))
        return db_pool_read_only(conn->pool, conn->s.generation) ? REPEAT_ELSEWHERE : REPEAT_NOT;
    if (db_result_is_fatal(res)) {
        db_pool_distrust(conn->pool, conn->s.generation);
        return REPEAT_ELSEWHERE;
    }
    return REPEAT_NOT;
}

/* What was sent ahead of a statement. When it failed, the rest was skipped. */
static int receive_limits(struct db_conn *conn, const struct statement *s, enum repeat *ret_repeat, struct error *e)
{
    PGresult *res = NULL;
    int outcome = 0;
    for (int parts = s->limits; parts && !conn->s.lost; parts--) {
        int r = statement_result(conn, &res, outcome < 0 ? NULL : e);
        if (r < 0)
            return outcome < 0 ? outcome : r;
        if (outcome == 0 && (outcome = judge(conn, res, &sql_statement_limits, e)) < 0) {
            *ret_repeat = repeat_after(conn, res);
            if (parts > 1) /* else the server knows it */
                conn->s.prepared[sql_statement_limits.index] = 0;
        }
        PQclear(res);
    }
    if (outcome < 0)
        conn->s.prepared[s->query->index] &= !s->prepares;
    return outcome;
}

/* The results of one statement: of its Parse if it had one, its own, that of its Sync. *ret is its own, when all went
 * well. */
static int receive(struct db_conn *conn, const struct statement *s, PGresult **ret, enum repeat *ret_repeat,
                   struct error *e)
{
    PGresult *res = NULL;
    int outcome = receive_limits(conn, s, ret_repeat, e);
    if (conn->s.lost)
        return outcome < 0 ? outcome : db_session_lose(conn, e);
    for (int parts = s->prepares ? 2 : 1; parts; parts--) {
        int r = statement_result(conn, &res, outcome < 0 ? NULL : e);
        if (r < 0)
            return outcome < 0 ? outcome : r;
        if (outcome == 0 && (outcome = judge(conn, res, s->query, e)) < 0) {
            *ret_repeat = repeat_after(conn, res);
            if (parts > 1) /* else the server knows it */
                conn->s.prepared[s->query->index] = 0;
        }
        if (outcome == 0 && parts == 1)
            outcome = db_result_check(res, s->query, e);
        if (outcome == DB_MALFORMED)
            conn->s.lost = 1;
        if (parts > 1 || outcome < 0)
            PQclear(res);
        if (conn->s.lost)
            return outcome;
    }
    int r = sync_result(conn, s->query, e);
    if (r < 0 && outcome == 0)
        PQclear(res);
    if (r < 0)
        return r;
    if (outcome == 0)
        *ret = res;
    return outcome;
}

/* Drops the answers that the connection owes for what follows the first statement in flight. They only read. */
static void drop_others(struct db_conn *conn)
{
    int count = conn->in_flight;
    enum repeat unused;
    for (int i = 1; i < count && !conn->s.lost; i++) {
        PGresult *res = NULL;
        conn->in_flight = count - i; /* of these, the last one shows the end of the transaction */
        (void)!receive(conn, statement_at(conn, i), &res, &unused, NULL);
        PQclear(res);
    }
    conn->in_flight = count;
}

static int all_repeatable(struct db_conn *conn)
{
    for (int i = 0; i < conn->in_flight; i++)
        if (statement_at(conn, i)->query->writes && !statement_at(conn, i)->query->repeatable)
            return 0;
    return 1;
}

/* After a failure: sends what is in flight once more where that can help. 1: it is on its way; 0: the failure stands.
 */
static int try_again(struct db_conn *conn, int outcome, enum repeat repeat)
{
    int is_lost = outcome == DB_UNREACHABLE;
    if (conn->is_pinned)
        return 0;
    if (repeat == REPEAT_UNNAMED && !conn->s.lost) {
        conn->s.is_named = 0;
        db_session_arm(conn);
        drop_others(conn);
        is_lost = db_session_disarm(conn, NULL) == 0;
        if (!conn->s.lost)
            return send_again(conn) == 0;
    }
    if (conn->repeated || !(repeat == REPEAT_ELSEWHERE || (is_lost && all_repeatable(conn))))
        return 0;
    conn->repeated = 1;
    return replace(conn, NULL) == 0 && send_again(conn) == 0;
}

/* libpq keeps every notification until it is asked for it. */
static void take_notifications(struct db_conn *conn)
{
    PGnotify *one;
    while ((one = PQnotifies(conn->s.pq))) {
        conn->notified = 1;
        PQfreemem(one);
    }
}

static int wait_notified(struct db_conn *conn, int wake_fd, int64_t deadline_ms, struct error *e)
{
    struct pollfd fds[] = {{.fd = PQsocket(conn->s.pq), .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
    for (;;) {
        take_notifications(conn);
        if (conn->notified) {
            conn->notified = 0;
            return 1;
        }
        if (conn->s.lost)
            return error_set_sentence(e, DB_UNREACHABLE, "database: the connection was lost");
        int n = poll(fds, 2, clock_left_ms(deadline_ms));
        if (n == 0 || (n > 0 && fds[1].revents))
            return 0;
        if (n > 0 && !PQconsumeInput(conn->s.pq))
            return db_session_lose(conn, e);
    }
}

int db_wait_notified(struct db_conn *conn, int wake_fd, int64_t deadline_ms, struct error *e)
{
    assert(conn->in_flight == 0);
    if (db_pool_wait_begin(conn->pool, conn) < 0) {
        conn->s.lost = 1;
        return error_set_sentence(e, DB_UNREACHABLE, "the database server turned read-only: connecting again");
    }
    int r = wait_notified(conn, wake_fd, deadline_ms, e);
    db_pool_wait_end(conn->pool);
    return r;
}

void db_cut(struct db_conn *conn)
{
    (void)shutdown(PQsocket(conn->s.pq), SHUT_RDWR);
}

/* The first statement in flight: once. */
static int receive_in_time(struct db_conn *conn, PGresult **ret, enum repeat *ret_repeat, struct error *e)
{
    *ret_repeat = REPEAT_NOT;
    conn->unconfirmed = 0;
    db_session_arm(conn);
    int outcome = receive(conn, statement_at(conn, 0), ret, ret_repeat, e);
    int late = db_session_disarm(conn, outcome < 0 ? e : NULL);
    return late < 0 && outcome < 0 ? late : outcome;
}

int db_recv(struct db_conn *conn, struct db_result **ret, struct error *e)
{
    assert(conn->in_flight > 0);
    const struct sql_query *query = statement_at(conn, 0)->query;
    PGresult *res = NULL;
    enum repeat repeat;
    int outcome = conn->s.lost ? error_set_sentence(e, DB_UNREACHABLE, "database: the connection was lost")
                               : receive_in_time(conn, &res, &repeat, e);
    while (outcome < 0 && conn->s.pq && try_again(conn, outcome, repeat))
        outcome = receive_in_time(conn, &res, &repeat, e);
    take_notifications(conn);
    conn->s.heard_ms = clock_monotonic_ms();
    conn->first = (conn->first + 1) % DB_IN_FLIGHT_MAX;
    conn->in_flight--;
    conn->repeated = conn->repeated && conn->in_flight;
    if (outcome == 0 && conn->unconfirmed)
        outcome = error_set_sentence(e, DB_REPEAT, "the commit was not confirmed by the standby: not acknowledged");
    if (outcome == 0 && query->writes)
        db_pool_wrote(conn->pool);

    if (outcome < 0)
        metric_inc(METRIC_db_errors);
    if (outcome < 0 || !ret)
        PQclear(res);
    else
        *ret = (struct db_result *)res;
    return outcome;
}

static int send_and_receive(struct db_conn *conn, const struct sql_query *query, const struct db_params *params,
                            struct db_result **ret, struct error *e)
{
    int r = db_send(conn, query, params, e);
    return r < 0 ? r : db_recv(conn, ret, e);
}

int db_advance_sequences(struct db_conn *conn, struct error *e)
{
    char text[256];
    struct db_result *rows;
    int r = send_and_receive(conn, &sql_sequence_advance, NULL, &rows, e);
    if (r < 0)
        return r;
    const char *tables = db_text(rows, 0, 0);
    snprintf(text, sizeof text,
             "sequences were behind their rows and have been corrected: %s (after a logical replication or a data-only "
             "restore)",
             tables ? tables : "");
    if (tables && conn->options->on_notice)
        conn->options->on_notice(conn->options->notice_arg, text);
    db_result_free(rows);
    return 0;
}

int db_query(struct db_conn *conn, const struct sql_query *query, const struct db_params *params,
             struct db_result **ret, struct error *e)
{
    int r = send_and_receive(conn, query, params, ret, e);
    if (r == DB_DUPLICATE && db_advance_sequences(conn, NULL) == 0)
        r = send_and_receive(conn, query, params, ret, e);
    return r;
}

int db_conn_drain(struct db_conn *conn)
{
    conn->is_pinned = 1; /* for what nobody waits for, a lost connection is not replaced */
    while (conn->in_flight && !db_conn_lost(conn))
        (void)!db_recv(conn, NULL, NULL);
    conn->in_flight = 0;
    return !db_conn_lost(conn) && PQtransactionStatus(conn->s.pq) == PQTRANS_IDLE ? 0 : -ENOTCONN;
}
