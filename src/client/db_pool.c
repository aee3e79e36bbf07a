/* Connections are opened by threads of their own: libpq can't be called back from looking up a name or waiting for a
 * server, and whoever wants a connection may have less time than that takes. One that comes too late for him is idle
 * for the next. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "base/thread.h"
#include "client/db_conn.h"
#include "client/db_fault.h"
#include "config/config.h"

#define CONNECTIONS_MAX 100
/* How long a caller waits for another to put a connection back. */
#define WAIT_MS              30000
#define RECONNECT_FIRST_MS   50
#define RECONNECT_LONGEST_MS 2000
/* A server that stays read-only must not cost a connection for each write. */
#define CLOSE_AGAIN_MS 2000
/* A statement that takes longer waits for the server: for a lock, or for its turn. */
#define WAITS_MS 1000
#define RENEW_MS 60000

struct db_pool {
    struct db_options options;
    struct db_watch *watch;
    struct lock lock;
    pthread_cond_t returned;
    int opened;            /* idle, in use, or being opened */
    int opening;           /* of these, the last */
    int64_t opening_ms;    /* since when there has always been one of them */
    pthread_t last_opener; /* who opened one and has ended; joined by the next one, and the last of all by the close */
    int has_last_opener;
    int reached; /* a connection was opened once */
    _Atomic int generation, unnamed, read_only;
    int has_choice;    /* another connection may lead to another server */
    int64_t closed_ms; /* when all were closed last */
    struct db_pool *follower;
    struct db_conn *waiting; /* the one that waits for notifications */
    int idle_count;
    struct {
        struct db_conn *conn;
        pthread_t user;       /* who put it back */
    } idle[CONNECTIONS_MAX];  /* the last one put back is the first to go: the rest may grow cold */
    int64_t version_asked_ms; /* when the next was asked for */
    int version_known;
    char version[DB_VERSION_SIZE]; /* the oldest of the program that may write; "": any */
};

/* Under the pool's lock. Freed by the one of the two that comes last. */
struct opening {
    struct db_pool *pool;
    pthread_t user; /* who wants it */
    int ended, left;
    struct error why; /* code 0: it is among the idle ones, or somebody took it from there */
};

static void set_follower(struct db_pool *leader, struct db_pool *follower)
{
    if (!leader)
        return;
    lock_take(&leader->lock);
    leader->follower = follower;
    lock_give(&leader->lock);
}

int db_pool_open(struct db_pool **ret, const struct db_options *options, struct error *e)
{
    char *url;
    int r = db_conn_url(options->url, &url, options, e);
    if (r < 0)
        return r;

    struct db_pool *pool = calloc(1, sizeof *pool);
    if (!pool) {
        free(url);
        return error_set_sentence(e, -ENOMEM, "out of memory");
    }
    pool->options = *options;
    pool->options.url = url;
    pool->has_choice = db_conn_url_has_choice(url);
    if (pool->options.max_connections > CONNECTIONS_MAX)
        pool->options.max_connections = CONNECTIONS_MAX;
    r = db_watch_start(&pool->watch, pool->options.max_connections);
    if (r < 0) {
        free((char *)pool->options.url);
        free(pool);
        return error_set_sentence(e, r, "no thread to watch over the database connections: %s", strerror(-r));
    }

    clock_cond_init(&pool->returned);
    lock_init(&pool->lock, LOCK_db_pool);
    set_follower(options->leader, pool);
    *ret = pool;
    return 0;
}

void db_pool_close(struct db_pool *pool)
{
    if (!pool)
        return;
    set_follower(pool->options.leader, NULL);
    lock_take(&pool->lock);
    while (pool->opening)
        pthread_cond_wait(&pool->returned, &pool->lock.mutex);
    lock_give(&pool->lock);
    if (pool->has_last_opener)
        pthread_join(pool->last_opener, NULL);
    assert(pool->opened == pool->idle_count);
    while (pool->idle_count)
        db_conn_close(pool->idle[--pool->idle_count].conn);
    db_watch_stop(pool->watch);
    pthread_cond_destroy(&pool->returned);
    lock_destroy(&pool->lock);
    free((char *)pool->options.url);
    free(pool);
}

int db_pool_size(struct db_pool *pool)
{
    lock_take(&pool->lock);
    int size = pool->options.max_connections;
    lock_give(&pool->lock);
    return size;
}

void db_pool_cede(struct db_pool *pool)
{
    lock_take(&pool->lock);
    pool->options.max_connections--;
    lock_give(&pool->lock);
}

/* With the lock held. */
static void tell_use(const struct db_pool *pool)
{
    int idle = pool->idle_count;
    if (!pool->options.measured)
        return;
    metric_set(METRIC_db_connections, METRIC_none, METRIC_none, pool->opened);
    metric_set(METRIC_db_connections_idle, METRIC_none, METRIC_none, idle);
    metric_set(METRIC_db_connections_in_use, METRIC_none, METRIC_none, pool->opened - pool->opening - idle);
}

static void forget_one(struct db_pool *pool)
{
    lock_take(&pool->lock);
    pool->opened--;
    tell_use(pool);
    pthread_cond_broadcast(&pool->returned); /* one alone might be opening his already, and not need the room */
    lock_give(&pool->lock);
}

/* The one that this thread had last, if it is there: its backend is used to our core. Else the last one put back. */
static struct db_conn *take_idle(struct db_pool *pool)
{
    int at = pool->idle_count - 1;
    for (int i = at; i >= 0; i--) {
        if (pthread_equal(pool->idle[i].user, pthread_self())) {
            at = i;
            break;
        }
    }
    struct db_conn *conn = pool->idle[at].conn;
    pool->idle_count--;
    memmove(&pool->idle[at], &pool->idle[at + 1], (size_t)(pool->idle_count - at) * sizeof pool->idle[0]);
    return conn;
}

static void add_idle(struct db_pool *pool, struct db_conn *conn, pthread_t user)
{
    pool->idle[pool->idle_count].conn = conn;
    pool->idle[pool->idle_count++].user = user;
}

static void *db_pool_open_run(void *arg)
{
    struct opening *o = arg;
    struct db_pool *pool = o->pool;
    struct db_conn *conn;
    struct error why;
    int reached = 0;
    thread_set_name("db-connect");
    int r = db_conn_open(&conn, pool, &pool->options, pool->watch, &reached, &why);
    lock_take(&pool->lock);
    pool->reached |= reached;
    if (r == 0) {
        add_idle(pool, conn, o->user);
    } else {
        metric_inc(METRIC_db_unreachable);
        pool->opened--;
        o->why = why;
    }
    o->ended = 1;
    if (o->left)
        free(o);
    pool->opening--;
    tell_use(pool);
    pthread_t before = pool->last_opener;
    int was_before = pool->has_last_opener;
    pool->last_opener = pthread_self();
    pool->has_last_opener = 1;
    pthread_cond_broadcast(&pool->returned);
    lock_give(&pool->lock);
    if (was_before)
        pthread_join(before, NULL);
    return NULL;
}

static int start_opening(struct db_pool *pool, struct opening **ret, struct error *e)
{
    struct opening *o = calloc(1, sizeof *o);
    pthread_t thread;
    if (!o)
        return error_set_sentence(e, -ENOMEM, "out of memory");
    o->pool = pool;
    o->user = pthread_self();
    int r = pthread_create(&thread, NULL, db_pool_open_run, o);
    if (r) {
        free(o);
        return error_set_sentence(e, -r, "no thread to connect to the database with: %s", strerror(r));
    }
    pool->opened++;
    if (!pool->opening++)
        pool->opening_ms = clock_monotonic_ms();
    tell_use(pool);
    *ret = o;
    return 0;
}

/* Waits no longer for it. Returns why it failed, or 0. */
static int leave_opening(struct opening *o, struct error *e)
{
    if (!o->ended) {
        o->left = 1;
        return 0;
    }
    int r = o->why.code;
    if (r < 0 && e)
        *e = o->why;
    free(o);
    return r;
}

int db_pool_waits(struct db_pool *pool, struct error *e)
{
    int64_t statement_ms, connect_ms = 0;
    int n = db_watch_armed(pool->watch, WAITS_MS, &statement_ms);
    lock_take(&pool->lock);
    if (pool->opening)
        connect_ms = clock_monotonic_ms() - pool->opening_ms;
    lock_give(&pool->lock);
    if (n)
        return error_set_sentence(
            e, DB_TIMEOUT,
            "the database does not answer: a statement has been under way for %lld s; a lock or an "
            "overloaded server",
            (long long)(statement_ms / 1000));
    if (connect_ms >= WAITS_MS)
        return error_set_sentence(e, DB_TIMEOUT, "cannot reach the database: connecting has taken %lld s so far",
                                  (long long)(connect_ms / 1000));
    return 0;
}

/* With the lock held. More connections would wait as well where the server is the reason. */
static int fail_in_use(const struct db_pool *pool, struct error *e)
{
    int64_t longest_ms;
    int n = pool->options.max_connections;
    if (db_watch_armed(pool->watch, WAITS_MS, &longest_ms) < n)
        return error_set_sentence(e, DB_TIMEOUT, "all %d database connections are in use; raise PERDURA_DB_POOL", n);
    return error_set_sentence(
        e, DB_TIMEOUT,
        "all %d database connections wait for answers, the longest for %lld s: a lock or an overloaded "
        "server",
        n, (long long)(longest_ms / 1000));
}

/* With the lock held: opens one more if that is allowed, and waits for something to change. */
static int wait_for_one(struct db_pool *pool, struct opening **own, const struct timespec *until, struct error *e)
{
    if (*own && (*own)->ended) {
        int r = leave_opening(*own, e);
        *own = NULL;
        return r;
    }
    if (!*own && pool->opened < pool->options.max_connections) {
        int r = start_opening(pool, own, e);
        if (r < 0)
            return r;
    }
    if (pthread_cond_timedwait(&pool->returned, &pool->lock.mutex, until) == 0 || pool->idle_count)
        return 0;
    return *own ? error_set_sentence(e, DB_TIMEOUT, "cannot reach the database: it takes too long")
                : fail_in_use(pool, e);
}

static int take(struct db_pool *pool, struct db_conn **ret, struct error *e)
{
    struct timespec until = clock_timespec(db_conn_until(clock_monotonic_ms() + WAIT_MS) * 1000000);
    struct opening *own = NULL;
    int64_t since_us = clock_monotonic_us();
    int r = 0;

    lock_take(&pool->lock);
    int waits = !pool->idle_count;
    while (!pool->idle_count && r == 0)
        r = wait_for_one(pool, &own, &until, e);
    if (own)
        (void)!leave_opening(own, NULL);
    if (r == 0)
        *ret = take_idle(pool);
    tell_use(pool);
    lock_give(&pool->lock);
    if (waits)
        metric_observe(METRIC_db_wait_seconds, METRIC_none, METRIC_none, clock_monotonic_us() - since_us);
    return r;
}

static void drop(struct db_pool *pool, struct db_conn *conn)
{
    db_conn_close(conn);
    forget_one(pool);
}

int db_get(struct db_pool *pool, struct db_conn **ret, struct error *e)
{
    struct db_conn *conn = NULL;
    int r;
    while ((r = take(pool, &conn, e)) == 0) {
        if (db_conn_generation(conn) == db_pool_generation(pool) && db_conn_alive(conn)) {
            r = db_conn_needs_greeting(conn) ? db_conn_greet(conn, e) : 0;
            if (r == 0)
                break;
            if (!db_conn_lost(conn)) {
                drop(pool, conn);
                return r;
            }
        }
        drop(pool, conn); /* the server ended it while it was idle */
    }
    if (r == 0)
        *ret = conn;
    return r;
}

int db_pool_replace(struct db_pool *pool, struct db_conn **ret, struct error *e)
{
    forget_one(pool);
    return db_get(pool, ret, e);
}

/* Connections that lead to the wrong server */

int db_pool_generation(struct db_pool *pool)
{
    return atomic_load(&pool->generation);
}

static void close_all(struct db_pool *pool)
{
    struct db_conn *idle[CONNECTIONS_MAX];
    int count = 0;
    lock_take(&pool->lock);
    atomic_fetch_add(&pool->generation, 1);
    pool->closed_ms = clock_monotonic_ms();
    while (pool->idle_count)
        idle[count++] = pool->idle[--pool->idle_count].conn;
    if (pool->waiting)
        db_cut(pool->waiting);
    struct db_pool *follower = pool->follower;
    lock_give(&pool->lock);
    for (int i = 0; i < count; i++)
        drop(pool, idle[i]);
    if (follower)
        close_all(follower);
}

void db_pool_distrust(struct db_pool *pool, int generation)
{
    if (generation == db_pool_generation(pool))
        close_all(pool);
}

static void notify(const struct db_pool *pool, const char *text)
{
    if (pool->options.on_notice)
        pool->options.on_notice(pool->options.notice_arg, text);
}

/* With the only server there is a new connection helps where the setting was changed for new sessions alone. */
static void renew_idle(struct db_pool *pool)
{
    struct db_conn *idle[CONNECTIONS_MAX];
    int count = 0;
    lock_take(&pool->lock);
    if (clock_monotonic_ms() - pool->closed_ms >= RENEW_MS) {
        atomic_fetch_add(&pool->generation, 1);
        pool->closed_ms = clock_monotonic_ms();
        while (pool->idle_count)
            idle[count++] = pool->idle[--pool->idle_count].conn;
    }
    lock_give(&pool->lock);
    for (int i = 0; i < count; i++)
        drop(pool, idle[i]);
}

int db_pool_read_only(struct db_pool *pool, int generation)
{
    if (!pool->has_choice) {
        renew_idle(pool);
        return 0;
    }
    if (generation != db_pool_generation(pool))
        return 1;
    int first = !atomic_exchange(&pool->read_only, 1);
    lock_take(&pool->lock);
    int due = first || clock_monotonic_ms() - pool->closed_ms >= CLOSE_AGAIN_MS;
    lock_give(&pool->lock);
    if (due)
        close_all(pool);
    if (first)
        notify(pool, "the server is read-only: connections closed, to find the primary server again");
    return first;
}

int db_pool_ask_version(struct db_pool *pool, int64_t now_ms, int every_ms)
{
    lock_take(&pool->lock);
    int ask = !pool->version_known || now_ms - pool->version_asked_ms >= every_ms;
    if (ask)
        pool->version_asked_ms = now_ms;
    lock_give(&pool->lock);
    return ask;
}

void db_pool_set_version(struct db_pool *pool, const char *version)
{
    lock_take(&pool->lock);
    pool->version_known = 1;
    if (version)
        memcpy(pool->version, version, DB_VERSION_SIZE);
    lock_give(&pool->lock);
}

void db_pool_version(struct db_pool *pool, char ret[DB_VERSION_SIZE])
{
    lock_take(&pool->lock);
    memcpy(ret, pool->version, DB_VERSION_SIZE);
    lock_give(&pool->lock);
}

void db_pool_wrote(struct db_pool *pool)
{
    if (atomic_load_explicit(&pool->read_only, memory_order_relaxed))
        atomic_store(&pool->read_only, 0);
}

int db_pool_wait_begin(struct db_pool *pool, struct db_conn *conn)
{
    lock_take(&pool->lock);
    int stale = db_conn_generation(conn) != db_pool_generation(pool);
    if (!stale)
        pool->waiting = conn;
    lock_give(&pool->lock);
    return stale ? -ENOTCONN : 0;
}

void db_pool_wait_end(struct db_pool *pool)
{
    lock_take(&pool->lock);
    pool->waiting = NULL;
    lock_give(&pool->lock);
}

/* Names of statements */

int db_pool_names(struct db_pool *pool)
{
    return pool->options.prepared != CONFIG_PREPARED_OFF && !atomic_load(&pool->unnamed);
}

int db_pool_stop_naming(struct db_pool *pool)
{
    if (pool->options.prepared != CONFIG_PREPARED_AUTO)
        return 0;
    if (!atomic_exchange(&pool->unnamed, 1))
        notify(pool,
               "there is a pooler in transaction mode before the server: continuing without named statements; set "
               "PERDURA_DB_PREPARED=off");
    return 1;
}

static int was_reached(struct db_pool *pool)
{
    lock_take(&pool->lock);
    int reached = pool->reached;
    lock_give(&pool->lock);
    return reached;
}

int db_get_again(struct db_pool *pool, struct db_conn **ret, int64_t deadline_ms, struct error *e)
{
    int r = db_get(pool, ret, e);
    if (!db_unavailable(r) || !was_reached(pool))
        return r;
    *ret = NULL;
    return db_reconnect(ret, pool, deadline_ms, e);
}

int db_ask_again(struct db_pool *pool, int code, int patience_ms, const atomic_int *stopped, int64_t *deadline_ms)
{
    struct db_conn *conn;
    if (!db_unavailable(code) || (stopped && atomic_load(stopped)) || !patience_ms)
        return 0;
    if (!*deadline_ms)
        *deadline_ms = clock_monotonic_ms() + patience_ms;
    else if (!clock_left_ms(*deadline_ms))
        return 0;
    if (db_get_again(pool, &conn, *deadline_ms, NULL) < 0)
        return 0;
    db_put(conn);
    return 1;
}

void db_put(struct db_conn *conn)
{
    if (!conn)
        return;
    struct db_pool *pool = db_conn_pool(conn);
    if (!db_conn_has_session(conn)) {
        db_conn_close(conn);
        return;
    }
    if (db_conn_drain(conn) < 0 || db_conn_generation(conn) != db_pool_generation(pool)) {
        drop(pool, conn);
        return;
    }
    db_conn_reset(conn);
    lock_take(&pool->lock);
    add_idle(pool, conn, pthread_self());
    tell_use(pool);
    pthread_cond_signal(&pool->returned);
    lock_give(&pool->lock);
}

void db_discard(struct db_conn *conn)
{
    if (db_conn_has_session(conn))
        drop(db_conn_pool(conn), conn);
    else
        db_conn_close(conn);
}

int db_reconnect(struct db_conn **conn, struct db_pool *pool, int64_t deadline_ms, struct error *e)
{
    int64_t pause_ms = RECONNECT_FIRST_MS;

    deadline_ms = db_conn_until(deadline_ms);
    db_put(*conn);
    *conn = NULL;
    for (;;) {
        int r = db_get(pool, conn, e);
        if (r == 0)
            return 0;
        if (!db_unavailable(r) || clock_left_ms(deadline_ms) == 0)
            return r;
        int64_t left_ms = clock_left_ms(deadline_ms);
        clock_sleep_ns((pause_ms < left_ms ? pause_ms : left_ms) * 1000000);
        pause_ms = pause_ms * 2 < RECONNECT_LONGEST_MS ? pause_ms * 2 : RECONNECT_LONGEST_MS;
    }
}

int db_unavailable(int code)
{
    return db_fault_state(code) == DB_STATE_UNREACHABLE;
}
