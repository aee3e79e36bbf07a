#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "client/db_conn.h"

#define CONNECTIONS_MAX 100
/* How long a caller waits for another to put a connection back. */
#define WAIT_MS              30000
#define RECONNECT_FIRST_MS   50
#define RECONNECT_LONGEST_MS 2000

struct db_pool {
    struct db_options options;
    struct db_watch *watch;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    int opened;  /* idle, in use, or being opened */
    int reached; /* a connection was opened once */
    int idle_count;
    struct {
        struct db_conn *conn;
        pthread_t user;      /* who put it back */
    } idle[CONNECTIONS_MAX]; /* the last one put back is the first to go: the rest may grow cold */
};

int db_pool_open(struct db_pool **ret, const struct db_options *options, struct error *e)
{
    int r = db_conn_check_url(options->url, e);
    if (r < 0)
        return r;

    struct db_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return error_set(e, -ENOMEM, "out of memory");
    pool->options = *options;
    pool->options.url = strdup(options->url);
    if (!pool->options.url) {
        free(pool);
        return error_set(e, -ENOMEM, "out of memory");
    }
    if (pool->options.max_connections > CONNECTIONS_MAX)
        pool->options.max_connections = CONNECTIONS_MAX;
    r = db_watch_start(&pool->watch, pool->options.max_connections);
    if (r < 0) {
        free((char *)pool->options.url);
        free(pool);
        return error_set(e, r, "no thread to watch over the database connections: %s", strerror(-r));
    }

    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->returned, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&pool->lock, NULL);
    *ret = pool;
    return 0;
}

void db_pool_close(struct db_pool *pool)
{
    if (!pool)
        return;
    assert(pool->opened == pool->idle_count);
    while (pool->idle_count)
        db_conn_close(pool->idle[--pool->idle_count].conn);
    db_watch_stop(pool->watch);
    pthread_cond_destroy(&pool->returned);
    pthread_mutex_destroy(&pool->lock);
    free((char *)pool->options.url);
    free(pool);
}

static void forget_one(struct db_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->opened--;
    pthread_cond_signal(&pool->returned);
    pthread_mutex_unlock(&pool->lock);
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

/* An idle connection, or NULL with leave to open one (already counted), or -ETIMEDOUT. */
static int take_or_open(struct db_pool *pool, struct db_conn **ret, struct error *e)
{
    struct timespec until = clock_timespec((clock_monotonic_ms() + WAIT_MS) * 1000000);
    int r = 0;

    *ret = NULL;
    pthread_mutex_lock(&pool->lock);
    while (!pool->idle_count && pool->opened >= pool->options.max_connections && r == 0)
        r = pthread_cond_timedwait(&pool->returned, &pool->lock, &until);
    if (pool->idle_count) {
        *ret = take_idle(pool);
        r = 0;
    } else if (r == 0) {
        pool->opened++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (r)
        return error_set(e, -ETIMEDOUT, "all %d database connections are in use; raise PERDURA_DB_POOL",
                         pool->options.max_connections);
    return 0;
}

int db_get(struct db_pool *pool, struct db_conn **ret, struct error *e)
{
    struct db_conn *conn;
    for (;;) {
        int r = take_or_open(pool, &conn, e);
        if (r < 0)
            return r;
        if (!conn)
            break;
        if (db_conn_alive(conn)) {
            *ret = conn;
            return 0;
        }
        db_conn_close(conn); /* the server ended it while it was idle */
        forget_one(pool);
    }
    int r = db_conn_open(&conn, pool, &pool->options, pool->watch, e);
    if (r < 0) {
        forget_one(pool);
        return r;
    }
    pthread_mutex_lock(&pool->lock);
    pool->reached = 1;
    pthread_mutex_unlock(&pool->lock);
    *ret = conn;
    return 0;
}

static int was_reached(struct db_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    int reached = pool->reached;
    pthread_mutex_unlock(&pool->lock);
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

void db_put(struct db_conn *conn)
{
    if (!conn)
        return;
    struct db_pool *pool = db_conn_pool(conn);
    db_conn_drain(conn);
    if (db_conn_lost(conn)) {
        db_conn_close(conn);
        forget_one(pool);
        return;
    }
    db_conn_unlimit(conn);
    pthread_mutex_lock(&pool->lock);
    pool->idle[pool->idle_count].conn = conn;
    pool->idle[pool->idle_count++].user = pthread_self();
    pthread_cond_signal(&pool->returned);
    pthread_mutex_unlock(&pool->lock);
}

int db_reconnect(struct db_conn **conn, struct db_pool *pool, int64_t deadline_ms, struct error *e)
{
    int64_t pause_ms = RECONNECT_FIRST_MS;

    db_put(*conn);
    *conn = NULL;
    for (;;) {
        int r = db_get(pool, conn, e);
        if (r == 0)
            return 0;
        if (!db_unavailable(r) || clock_left_ms(deadline_ms) == 0)
            return r;
        int64_t left_ms = clock_left_ms(deadline_ms);
        struct timespec pause = clock_timespec((pause_ms < left_ms ? pause_ms : left_ms) * 1000000);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        pause_ms = pause_ms * 2 < RECONNECT_LONGEST_MS ? pause_ms * 2 : RECONNECT_LONGEST_MS;
    }
}

int db_unavailable(int code)
{
    return code == -ENOTCONN || code == -ETIMEDOUT;
}
