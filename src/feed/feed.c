#include "feed/feed.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/thread.h"
#include "client/db.h"
#include "client/db_grants.h"
#include "config/config.h"
#include "feed/apply.h"
#include "feed/feed_read.h"
#include "image/stale_files.h"
#include "sql.h"
#include "store/folders.h"

#define CONNECT_MS     1000 /* for one attempt */
#define QUERY_MS       10000
#define PROBE_MS       1000 /* for a notification to come through */
#define PROBE_FIRST    1000 /* between that and the next attempt, when none did: a machine may have been busy */
#define PROBE_LAST     60000
#define READ_MS        30000 /* between reads that no notification requests */
#define COALESCE_MS    20    /* between reads, however many notifications come */
#define PAUSE_FIRST    50    /* between attempts to connect */
#define PAUSE_LAST     5000
#define POOL_MIN       4 /* with less there is no connection to spare */
#define DRAIN_GRACE_MS 200

struct feed {
    struct store *store;
    struct feed_replace *replace;
    struct db_pool *pool; /* of one connection; NULL: the store's is used, and nobody listens */
    int wake_fd;
    struct thread thread; /* its lock is over what follows, up to heard_ms */
    int begun;
    struct db_conn *conn; /* in use */
    enum feed_mode mode;
    char why[160];
    int64_t heard_ms; /* all that happened before is known; while listening: until now */

    /* Of the thread alone: */
    struct feed_cursor cursor;
    int64_t read_ms; /* when the last read began */
    int64_t pause_ms;
    int unasked; /* the next read is one that no notification asks for */
};

static const char *const mode_names[] = {"connecting", "listening", "polling"};

/* State */

static void set_mode(struct feed *f, enum feed_mode mode, const char *why)
{
    lock_take(&f->thread.lock);
    enum feed_mode was = f->mode;
    if (was == FEED_LISTENING && mode != was)
        f->heard_ms = clock_monotonic_ms();
    f->mode = mode;
    snprintf(f->why, sizeof f->why, "%s", why);
    lock_give(&f->thread.lock);
    if (mode == FEED_LISTENING && was != mode)
        log_event(LOG_DEBUG, "listening for changes");
    else if (mode == FEED_POLLING && was != mode)
        log_event(LOG_INFO, "LISTEN unavailable, polling for changes", LOG_INT("every_ms", FEED_POLL_MS),
                  LOG_STR("error", why));
}

static int is_stopping(struct feed *f)
{
    return thread_is_stopping(&f->thread);
}

/* From here on a stop cuts it. */
static void hold(struct feed *f, struct db_conn *conn)
{
    lock_take(&f->thread.lock);
    f->conn = conn;
    if (conn && f->thread.stopping)
        db_cut(conn);
    lock_give(&f->thread.lock);
}

static int get(struct feed *f, struct db_pool *pool, struct db_conn **ret, struct error *e)
{
    db_deadline(clock_monotonic_ms() + CONNECT_MS);
    int r = db_get(pool, ret, e);
    if (r == 0)
        hold(f, *ret);
    return r;
}

static void put(struct feed *f, struct db_conn *conn)
{
    hold(f, NULL);
    db_deadline(clock_monotonic_ms() + CONNECT_MS);
    db_put(conn);
}

/* Until the time is over, or we are to stop. */
static void pause_for(struct feed *f, int64_t ms)
{
    struct pollfd fd = {.fd = f->wake_fd, .events = POLLIN};
    if (ms > 0)
        (void)poll(&fd, 1, (int)ms);
}

/* Reading */

static int read_changes(struct feed *f, struct db_conn *conn, struct error *e)
{
    int stale = 0;
    f->read_ms = clock_monotonic_ms();
    db_deadline(f->read_ms + QUERY_MS);
    int r = f->unasked ? feed_is_due(&f->cursor, conn, e) : 1;
    f->unasked = 0;
    if (r > 0)
        r = feed_read(&f->cursor, conn, f->store, &stale, e);
    if (stale || r == -EAGAIN)
        feed_replace_wake(f->replace);
    lock_take(&f->thread.lock);
    if (r == 0)
        f->heard_ms = f->read_ms;
    if (r == 0 && !f->begun) {
        f->begun = 1;
        pthread_cond_broadcast(&f->thread.changed);
    }
    lock_give(&f->thread.lock);
    return r;
}

/* One read over a connection of the store's. */
static int poll_once(struct feed *f, struct error *e)
{
    struct db_conn *conn;
    int r = get(f, store_pool(f->store), &conn, e);
    if (r < 0)
        return r;
    r = read_changes(f, conn, e);
    put(f, conn);
    return r;
}

/* Listening */

static void probe(struct feed *f)
{
    struct db_conn *conn;
    db_deadline(clock_monotonic_ms() + PROBE_MS);
    if (db_get(store_pool(f->store), &conn, NULL) < 0)
        return;
    (void)!db_query(conn, &sql_feed_probe, NULL, NULL, NULL);
    db_put(conn);
}

/* Whether a notification comes through: one that another connection sends while ours is idle. (A pooler in transaction
 * mode accepts LISTEN, for a server's connection that is somebody else's a moment later.) */
static int is_heard(struct feed *f, struct db_conn *conn, struct error *e)
{
    int r = db_wait_notified(conn, -1, 0, e);
    if (r < 0)
        return r;
    probe(f);
    return db_wait_notified(conn, f->wake_fd, clock_monotonic_ms() + PROBE_MS, e);
}

/* Waits for what is next: a notification, the time to read unasked, the stop. */
static int wait_for_news(struct feed *f, struct db_conn *conn, int listening, struct error *e)
{
    int64_t next_ms = f->read_ms + (listening ? READ_MS : FEED_POLL_MS);
    int r = db_wait_notified(conn, f->wake_fd, next_ms, e);
    f->unasked = r == 0;
    if (r > 0)
        pause_for(f, f->read_ms + COALESCE_MS - clock_monotonic_ms());
    return r < 0 ? r : 0;
}

/* Listens, until the connection is lost or we are to stop. */
static int listen_on(struct feed *f, struct db_conn *conn, struct error *e)
{
    int64_t probe_ms = 0, pause_ms = PROBE_FIRST;
    int listening = 0;
    db_deadline(clock_monotonic_ms() + QUERY_MS);
    int r = db_query(conn, &sql_feed_listen, NULL, NULL, e);
    if (r < 0)
        r = db_name_grants(conn, r, e);
    while (r == 0 && !is_stopping(f)) {
        r = read_changes(f, conn, e);
        if (r == -EAGAIN) {
            pause_for(f, FEED_POLL_MS);
            r = 0;
            continue;
        }
        if (r == 0)
            f->pause_ms = 0;
        if (r == 0 && !listening && clock_monotonic_ms() >= probe_ms) {
            listening = is_heard(f, conn, e);
            probe_ms = clock_monotonic_ms() + pause_ms;
            pause_ms = pause_ms * 2 < PROBE_LAST ? pause_ms * 2 : PROBE_LAST;
            if (listening < 0)
                return listening;
            set_mode(f, listening ? FEED_LISTENING : FEED_POLLING,
                     listening ? "" : "no notification comes through; set PERDURA_LISTEN_URL to a direct connection");
            if (listening)
                continue; /* it may have been another's */
        }
        if (r == 0)
            r = wait_for_news(f, conn, listening, e);
    }
    return r;
}

static int listen_once(struct feed *f, struct error *e)
{
    struct db_conn *conn;
    int r = get(f, f->pool, &conn, e);
    if (r < 0)
        return r;
    db_pin(conn);
    r = listen_on(f, conn, e);
    put(f, conn);
    return r;
}

/* The first attempt follows at once, and no two instances keep step. */
static void pause_before_next(struct feed *f)
{
    unsigned jitter = 0;
    (void)!getrandom(&jitter, sizeof jitter, GRND_NONBLOCK);
    pause_for(f, f->pause_ms / 2 + (f->pause_ms ? jitter % f->pause_ms : 0) / 2);
    int64_t next_ms = f->pause_ms ? f->pause_ms * 2 : PAUSE_FIRST;
    f->pause_ms = next_ms < PAUSE_LAST ? next_ms : PAUSE_LAST;
}

static void listen_again(struct feed *f)
{
    struct error why = {0}, unused;
    if (listen_once(f, &why) == 0)
        return;
    metric_inc(METRIC_feed_reconnects);
    set_mode(f, FEED_CONNECTING, why.text);
    if (f->pause_ms == PAUSE_FIRST)
        log_event(LOG_WARN, "change feed disconnected", LOG_STR("error", why.text));
    if (f->pause_ms > PAUSE_FIRST && clock_monotonic_ms() - f->read_ms >= FEED_POLL_MS && !is_stopping(f))
        (void)!poll_once(f, &unused);
    if (!is_stopping(f))
        pause_before_next(f);
}

static void feed_run(void *arg)
{
    struct feed *f = arg;
    struct error why;
    while (!is_stopping(f)) {
        if (f->pool) {
            listen_again(f);
            continue;
        }
        (void)!poll_once(f, &why);
        pause_for(f, FEED_POLL_MS);
    }
}

/* In and out */

static const char *why_not_listen(const struct config *config)
{
    if (config->db_pool < POOL_MIN)
        return "PERDURA_DB_POOL has no connection to spare";
    if (config->db_prepared == CONFIG_PREPARED_OFF && !config->listen_url)
        return "PERDURA_DB_PREPARED=off: there is a pooler; set PERDURA_LISTEN_URL to a direct connection";
    return NULL;
}

void feed_reserve(struct store *store)
{
    if (!why_not_listen(store_config(store)))
        db_pool_cede(store_pool(store));
}

static int64_t read_listening(void *arg)
{
    struct feed_status s;
    feed_status(arg, &s);
    return s.mode == FEED_LISTENING;
}

static int64_t read_lag_us(void *arg)
{
    struct feed_status s;
    feed_status(arg, &s);
    return s.lag_ms * 1000;
}

static int64_t read_stale(void *arg)
{
    struct feed_status s;
    feed_status(arg, &s);
    return s.stale_files;
}

/* `on` 0: they are shown no more. */
static void show_metrics(struct feed *f, int on)
{
    metric_reader(METRIC_feed_listening, METRIC_none, METRIC_none, on ? read_listening : NULL, f);
    metric_reader(METRIC_feed_lag_seconds, METRIC_none, METRIC_none, on ? read_lag_us : NULL, f);
    metric_reader(METRIC_feed_stale_files, METRIC_none, METRIC_none, on ? read_stale : NULL, f);
}

static void free_feed(struct feed *f)
{
    feed_cursor_release(&f->cursor);
    db_pool_close(f->pool);
    if (f->wake_fd >= 0)
        close(f->wake_fd);
    thread_destroy(&f->thread);
    free(f);
}

static int open_pool(struct feed *f, struct error *e)
{
    const struct config *config = store_config(f->store);
    const struct db_options options = {
        .url = config->listen_url ? config->listen_url : config->database_url,
        .max_connections = 1,
        .prepared = config->db_prepared,
        .leader = store_pool(f->store),
        .timeout_ms = QUERY_MS,
    };
    const char *why = why_not_listen(config);
    if (!why)
        return db_pool_open(&f->pool, &options, e);
    set_mode(f, FEED_POLLING, why);
    return 0;
}

int feed_start(struct feed **ret, struct store *store, struct watch *watch, struct error *e)
{
    struct feed *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(e, -ENOMEM, "out of memory");
    f->store = store;
    f->heard_ms = clock_monotonic_ms();
    thread_init(&f->thread, LOCK_feed);
    f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = f->wake_fd < 0 ? error_set(e, -errno, "no descriptor: %s", strerror(errno)) : open_pool(f, e);
    if (r == 0 && (r = feed_replace_start(&f->replace, store, watch)) < 0)
        error_set(e, r, "no thread to replace files: %s", strerror(-r));
    if (r == 0 && (r = thread_start(&f->thread, "feed", feed_run, f)) < 0) {
        error_set(e, r, "no thread to hear of changes: %s", strerror(-r));
        (void)!feed_replace_stop(f->replace, INT64_MAX / 1000000);
    }
    if (r < 0) {
        free_feed(f);
        return r;
    }
    show_metrics(f, 1);
    *ret = f;
    return 0;
}

void feed_wait(struct feed *f, int64_t deadline_ms)
{
    int late = 0;
    lock_take(&f->thread.lock);
    while (!f->begun && !late)
        late = thread_wait_change(&f->thread, deadline_ms);
    lock_give(&f->thread.lock);
}

void feed_status(struct feed *f, struct feed_status *ret)
{
    *ret = (struct feed_status){.stale_files = stale_files_count(store_stale_files(f->store))};
    lock_take(&f->thread.lock);
    ret->mode = f->mode;
    ret->lag_ms = f->mode == FEED_LISTENING ? 0 : clock_monotonic_ms() - f->heard_ms;
    memcpy(ret->why, f->why, sizeof ret->why);
    lock_give(&f->thread.lock);
    ret->mode_name = mode_names[ret->mode];
}

static int stop_thread(struct feed *f, int64_t deadline_ms)
{
    uint64_t one = 1;
    (void)!write(f->wake_fd, &one, sizeof one);
    lock_take(&f->thread.lock);
    f->thread.stopping = 1;
    if (f->conn)
        db_cut(f->conn);
    lock_give(&f->thread.lock);
    return thread_stop(&f->thread, deadline_ms + DRAIN_GRACE_MS) < 0 ? -EBUSY : 0;
}

int feed_stop(struct feed *f, int64_t deadline_ms)
{
    if (!f)
        return 0;
    if (stop_thread(f, deadline_ms) < 0 || feed_replace_stop(f->replace, deadline_ms) < 0)
        return -EBUSY;
    show_metrics(f, 0);
    free_feed(f);
    return 0;
}
