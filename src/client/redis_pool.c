/* The pool, the breaker and the thread that opens connections.
 *
 *     UP -> (a failure) -> DOWN -> (the keeper's pause) -> connect, PING, on_recover -> UP
 *
 * Down, only the keeper has a connection. Each fall begins a new epoch; a connection of an older one is closed when it
 * comes back. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "base/thread.h"
#include "client/redis_conn.h"

#define CONNECTIONS_MAX  100
#define OPEN_MS          1000 /* to connect, in the keeper's time */
#define PAUSE_FIRST_MS   1000
#define PAUSE_LONGEST_MS 10000

struct pooled {
    struct redis_conn *conn;
    unsigned epoch;
};

struct redis_client {
    struct redis_client_options options;
    struct redis_conn_options conn_options;
    struct lock lock;
    pthread_cond_t returned; /* an idle connection, or none any more */
    pthread_cond_t work;     /* for the keeper */
    pthread_t keeper;
    int up, stopped;
    unsigned epoch;
    int wanted;   /* callers that wait for a connection */
    int is_early; /* one is opened before anybody wants it */
    int opened;   /* idle, in use, or being opened */
    int opening;
    int idle_count;
    struct pooled idle[CONNECTIONS_MAX]; /* the last one put back goes first */
    int64_t pause_ms, retry_ms;
    unsigned seed;
    int64_t errors;
    int was_seen;
    char run_id[REDIS_CONN_RUN_ID_SIZE]; /* of the server whose contents are trusted */
    char why[256], server[300];
};

static int is_keeper(const struct redis_client *c)
{
    return pthread_equal(pthread_self(), c->keeper);
}

/* For these, the lock is held. */

static void show(const struct redis_client *c)
{
    metric_set(METRIC_redis_connections, METRIC_none, METRIC_none, c->opened);
    metric_set(METRIC_redis_connections_in_use, METRIC_none, METRIC_none, c->opened - c->idle_count);
    metric_set(METRIC_tier_up, METRIC_tier_redis, METRIC_none, c->up);
    metric_set(METRIC_redis_breaker_open, METRIC_none, METRIC_none, !c->up);
}

static void plan_retry(struct redis_client *c)
{
    int64_t jitter_ms = rand_r(&c->seed) % (c->pause_ms / 4);
    c->retry_ms = clock_monotonic_ms() + c->pause_ms - jitter_ms;
    c->pause_ms = c->pause_ms * 2 < PAUSE_LONGEST_MS ? c->pause_ms * 2 : PAUSE_LONGEST_MS;
}

static void close_idle(struct redis_client *c)
{
    while (c->idle_count) {
        redis_conn_close(c->idle[--c->idle_count].conn);
        c->opened--;
    }
}

static void note_failure(struct redis_client *c, const char *why)
{
    c->errors++;
    metric_inc(METRIC_redis_errors);
    (void)snprintf(c->why, sizeof c->why, "%.*s", (int)sizeof c->why - 1, why);
}

/* 1: it was up until now. */
static int fall(struct redis_client *c)
{
    if (!c->up)
        return 0;
    c->up = 0;
    c->epoch++;
    plan_retry(c);
    close_idle(c);
    pthread_cond_broadcast(&c->returned);
    pthread_cond_signal(&c->work);
    return 1;
}

static void add_idle(struct redis_client *c, struct redis_conn *conn)
{
    c->idle[c->idle_count++] = (struct pooled){conn, c->epoch};
    pthread_cond_signal(&c->returned);
}

/* Without the lock. */

static void fail(struct redis_client *c, const char *why)
{
    lock_take(&c->lock);
    note_failure(c, why);
    int fell = fall(c);
    show(c);
    lock_give(&c->lock);
    if (fell && c->options.on_change)
        c->options.on_change(c->options.arg, 0, why);
}

void redis_client_connect(struct redis_client *c)
{
    lock_take(&c->lock);
    c->is_early = c->opened == 0;
    pthread_cond_signal(&c->work);
    lock_give(&c->lock);
}

void redis_client_trip(struct redis_client *c, const char *why)
{
    fail(c, why);
}

int redis_client_is_up(struct redis_client *c)
{
    lock_take(&c->lock);
    int up = c->up;
    lock_give(&c->lock);
    return up;
}

void redis_client_state(struct redis_client *c, struct redis_client_state *ret)
{
    lock_take(&c->lock);
    *ret = (struct redis_client_state){
        .up = c->up, .connections = c->opened, .in_use = c->opened - c->idle_count, .errors = c->errors};
    memcpy(ret->why, c->why, sizeof ret->why);
    memcpy(ret->server, c->server, sizeof ret->server);
    lock_give(&c->lock);
}

/* Taking and giving back */

static int wait_for_one(struct redis_client *c, const struct timespec *until, struct error *e)
{
    int r = 0;
    c->wanted++;
    pthread_cond_signal(&c->work);
    while (!c->idle_count && c->up && r == 0)
        r = pthread_cond_timedwait(&c->returned, &c->lock.mutex, until);
    c->wanted--;
    if (c->idle_count)
        return 0;
    if (!c->up)
        return error_set(e, -ENOTCONN, "Redis is left alone for a while: %s", c->why);
    /* Those that are in use come back; one that can't be opened in time is a server that does not answer. */
    return c->opened == c->options.max_connections && !c->opening
               ? error_set(e, -EAGAIN, "all %d connections to Redis are in use; raise REDIS_MAX_CONNECTIONS", c->opened)
               : error_set(e, -ETIMEDOUT, "cannot reach Redis: it takes too long");
}

static int take(struct redis_client *c, int64_t deadline_ms, struct pooled *ret, struct error *e)
{
    int64_t longest_ms = clock_monotonic_ms() + c->options.pool_timeout_ms;
    struct timespec until = clock_timespec((deadline_ms < longest_ms ? deadline_ms : longest_ms) * 1000000);
    int r = 0;
    lock_take(&c->lock);
    if (!c->up && !is_keeper(c))
        r = error_set(e, -ENOTCONN, "Redis is unavailable, the circuit breaker is open: %s", c->why);
    while (r == 0) {
        if (!c->idle_count) /* the keeper would wait for itself */
            r = is_keeper(c) ? error_set(e, -ENOTCONN, "the connection was lost") : wait_for_one(c, &until, e);
        if (r < 0)
            break;
        *ret = c->idle[--c->idle_count];
        if (redis_conn_is_quiet(ret->conn))
            break;
        redis_conn_close(ret->conn); /* the server ended it while it was idle */
        c->opened--;
    }
    show(c);
    lock_give(&c->lock);
    return r;
}

static void put(struct redis_client *c, struct pooled one, int usable)
{
    lock_take(&c->lock);
    if (usable && one.epoch == c->epoch) {
        add_idle(c, one.conn);
        one.conn = NULL;
    } else {
        c->opened--;
        if (c->wanted)
            pthread_cond_signal(&c->work);
    }
    show(c);
    lock_give(&c->lock);
    redis_conn_close(one.conn);
}

/* Errors that are about the server, not about the command: it can't serve now, takes no command that changes anything
 * (so that an old copy could not be dropped), or refuses us. */
static const char *find_refusal(const struct redis_client_replies *replies)
{
    static const char *const kinds[] = {"LOADING",    "MASTERDOWN",  "READONLY",   "MISCONF ",
                                        "NOREPLICAS", "BUSY ",       "UNKILLABLE", "NOAUTH",
                                        "WRONGPASS",  "NOPERM",      "MOVED ",     "ASK ",
                                        "TRYAGAIN",   "CLUSTERDOWN", "CROSSSLOT",  "ERR unknown command"};
    for (int i = 0; i < replies->count; i++) {
        if (redis_client_kind(replies->list[i]) != REDIS_CLIENT_ERROR)
            continue;
        const char *text = redis_client_text(replies->list[i], NULL);
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            if (strncmp(text, kinds[k], strlen(kinds[k])) == 0)
                return text;
    }
    return NULL;
}

/* It served: the next failure is a new outage, whose first pause is short. */
static void end_outage(struct redis_client *c)
{
    lock_take(&c->lock);
    if (c->up)
        c->pause_ms = PAUSE_FIRST_MS;
    lock_give(&c->lock);
}

static int call_on(struct redis_client *c, struct pooled one, const struct redis_client_commands *cmds,
                   int64_t deadline_ms, struct redis_client_replies *ret, struct error *e)
{
    int r = redis_conn_exchange(one.conn, cmds, deadline_ms, ret, e);
    const char *refusal = r == 0 ? find_refusal(ret) : NULL;
    if (refusal) {
        r = error_set(e, -ENOTCONN, "Redis: %s", refusal);
        redis_client_replies_release(ret);
    }
    put(c, one, r == 0);
    if (r == 0 && !cmds->is_ping && !is_keeper(c))
        end_outage(c);
    return r;
}

int redis_client_call(struct redis_client *c, const struct redis_client_commands *cmds, int64_t deadline_ms,
                      struct redis_client_replies *ret, struct error *e)
{
    struct error why;
    struct pooled one;
    int r = take(c, deadline_ms, &one, &why);
    if (r == 0)
        r = call_on(c, one, cmds, deadline_ms, ret, &why);
    if (r < 0 && r != -EAGAIN && r != -EMSGSIZE && r != -ENOMEM && redis_client_is_up(c))
        fail(c, why.text);
    if (r < 0 && e)
        *e = why;
    return r;
}

/* The keeper */

/* A server that was started anew while we held it for the same must not be read before on_recover has seen to it. */
static int is_same(const struct redis_client *c, const struct redis_conn *conn)
{
    const char *run_id = redis_conn_run_id(conn);
    return *run_id && strcmp(c->run_id, run_id) == 0;
}

static void trust(struct redis_client *c, const struct redis_conn *conn)
{
    (void)snprintf(c->run_id, sizeof c->run_id, "%s", redis_conn_run_id(conn));
    redis_url_host_text(redis_conn_host(conn), c->server);
    c->was_seen = 1;
}

/* With the lock held, which is given up meanwhile. */
static int open_one(struct redis_client *c, struct redis_conn **ret, struct error *e)
{
    c->opened++;
    c->opening = 1;
    show(c);
    lock_give(&c->lock);
    int r = redis_conn_open(ret, &c->conn_options, clock_monotonic_ms() + OPEN_MS, e);
    lock_take(&c->lock);
    c->opening = 0;
    if (r < 0)
        c->opened--;
    return r;
}

static void tell_change(struct redis_client *c, int up, const char *why)
{
    lock_give(&c->lock);
    if (c->options.on_change)
        c->options.on_change(c->options.arg, up, why);
    lock_take(&c->lock);
}

static void open_wanted(struct redis_client *c)
{
    struct redis_conn *conn;
    struct error why;
    unsigned epoch = c->epoch;
    c->is_early = 0;
    int r = open_one(c, &conn, &why);
    if (r == 0 && c->epoch == epoch && (!c->was_seen || is_same(c, conn) || !*redis_conn_run_id(conn))) {
        trust(c, conn);
        add_idle(c, conn);
        return;
    }
    if (r == 0) {
        redis_conn_close(conn);
        c->opened--;
        error_set(&why, -ENOTCONN, "Redis was started anew");
    }
    if (c->epoch != epoch)
        return;
    note_failure(c, why.text);
    if (fall(c))
        tell_change(c, 0, why.text);
}

/* Whether it serves: a command that reads and one that changes something are allowed. */
static int try_out(struct redis_client *c, struct error *e)
{
    const char *read[] = {"HGET", "image:probe", "see"}, *write[] = {"UNLINK", "image:probe"};
    struct redis_client_commands cmds;
    struct redis_client_replies replies = {.count = 0};
    redis_client_commands_init(&cmds, 256);
    int r = redis_client_add(&cmds, 3, read, NULL);
    if (r == 0)
        r = redis_client_add(&cmds, 2, write, NULL);
    if (r == 0)
        r = redis_client_call(c, &cmds, clock_monotonic_ms() + OPEN_MS, &replies, e);
    for (int i = 0; i < replies.count && r == 0; i++)
        if (redis_client_kind(replies.list[i]) == REDIS_CLIENT_ERROR)
            r = error_set(e, -ENOTCONN, "Redis: %s", redis_client_text(replies.list[i], NULL));
    redis_client_replies_release(&replies);
    redis_client_commands_release(&cmds);
    return r;
}

static void probe(struct redis_client *c)
{
    struct redis_conn *conn;
    struct error why;
    enum redis_client_seen seen = REDIS_CLIENT_OTHER;
    char run_id[REDIS_CONN_RUN_ID_SIZE] = "";
    int r = open_one(c, &conn, &why);
    if (r == 0) {
        seen = is_same(c, conn) ? REDIS_CLIENT_SAME : REDIS_CLIENT_OTHER;
        trust(c, conn);
        memcpy(run_id, c->run_id, sizeof run_id);
        *c->run_id = '\0'; /* until on_recover is through with it */
        add_idle(c, conn);
        lock_give(&c->lock);
        r = try_out(c, &why);
        if (r == 0 && c->options.on_recover)
            r = c->options.on_recover(c->options.arg, seen, &why);
        lock_take(&c->lock);
    }
    if (r == 0) {
        memcpy(c->run_id, run_id, sizeof c->run_id);
        c->up = 1;
        show(c);
        tell_change(c, 1, "");
        return;
    }
    if (seen == REDIS_CLIENT_SAME)
        memcpy(c->run_id, run_id, sizeof c->run_id);
    note_failure(c, why.text);
    close_idle(c);
    plan_retry(c);
    show(c);
}

static void *redis_keeper_run(void *arg)
{
    struct redis_client *c = arg;
    thread_set_name("redis-keeper");
    lock_take(&c->lock);
    while (!c->stopped) {
        struct timespec until = clock_timespec(c->retry_ms * 1000000);
        if (c->up && (c->wanted || c->is_early) && !c->idle_count && c->opened < c->options.max_connections)
            open_wanted(c);
        else if (c->up)
            pthread_cond_wait(&c->work, &c->lock.mutex);
        else if (clock_left_ms(c->retry_ms))
            (void)pthread_cond_timedwait(&c->work, &c->lock.mutex, &until);
        else
            probe(c);
    }
    lock_give(&c->lock);
    return NULL;
}

/* Life */

int redis_client_open(struct redis_client **ret, const struct redis_client_options *options, struct error *e)
{
    struct redis_client *c = calloc(1, sizeof *c);
    struct tls_context *tls = NULL;
    if (!c)
        return error_set(e, -ENOMEM, "out of memory");
    int r = options->url.tls ? tls_context_new(&tls, &options->tls, e) : 0;
    if (r < 0) {
        free(c);
        return r;
    }
    c->options = *options;
    if (c->options.max_connections > CONNECTIONS_MAX)
        c->options.max_connections = CONNECTIONS_MAX;
    c->conn_options = (struct redis_conn_options){.url = &c->options.url,
                                                  .tls = tls,
                                                  .silence_ms = options->silence_ms,
                                                  .reply_max_bytes = options->reply_max_bytes};
    c->up = 1;
    c->pause_ms = PAUSE_FIRST_MS;
    c->seed = (unsigned)clock_realtime_us();
    clock_cond_init(&c->returned);
    clock_cond_init(&c->work);
    lock_init(&c->lock, LOCK_redis_pool);
    lock_take(&c->lock); /* the keeper asks who he is */
    show(c);
    r = -pthread_create(&c->keeper, NULL, redis_keeper_run, c);
    lock_give(&c->lock);
    if (r < 0) {
        error_set(e, r, "no thread to look after Redis: %s", strerror(-r));
        pthread_cond_destroy(&c->returned);
        pthread_cond_destroy(&c->work);
        lock_destroy(&c->lock);
        tls_context_free(tls);
        free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void redis_client_close(struct redis_client *c)
{
    if (!c)
        return;
    lock_take(&c->lock);
    c->stopped = 1;
    pthread_cond_signal(&c->work);
    lock_give(&c->lock);
    pthread_join(c->keeper, NULL);
    close_idle(c);
    assert(c->opened == 0);
    tls_context_free(c->conn_options.tls);
    pthread_cond_destroy(&c->returned);
    pthread_cond_destroy(&c->work);
    lock_destroy(&c->lock);
    free(c);
}
