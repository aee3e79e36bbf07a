#include "cli/service.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/address.h"
#include "cli/cli.h"
#include "cli/prepare.h"
#include "cli/startup_log.h"
#include "config/config.h"
#include "feed/feed.h"
#include "http/server.h"
#include "job/instance.h"
#include "job/schedule.h"
#include "stats/access.h"
#include "stats/adaptive.h"
#include "watch/watch.h"

#define TABLES_MS      5000 /* for the database to show its tables before the watch starts without them */
#define HTTP_MS        5000 /* for requests that are under way at the end */
#define FEED_MS        1000 /* for the feed to begin */
#define ACCESS_MS      5000 /* for the last notes of what was asked for */
#define DRAIN_GRACE_MS 3000 /* for the database to let go of us after the deadline */
#define END_MS         200  /* likewise, when we do not depend on it */
#define NAMES_MOST     1000 /* of files that could not be persisted */

#define NOT_KEPT_NAMES_MOST 20
#define KINDS_NAMED         10

#define MAPPED_MIN (256 << 10) /* bytes */

struct service {
    struct store *store;
    struct stop_signals *signals;
    struct startup_log *startup_log;
    struct prepare *prepare;
    struct watch *watch;
    struct feed *feed;
    struct access *access;
    struct adaptive *adaptive; /* NULL: PERDURA_ADAPTIVE_TTL is off */
    struct instance *instance;
    struct schedule *schedule;
    struct http_server *http; /* NULL: none */
    struct api_service api;
    int64_t started_ms;
    char url[ADDRESS_URL_SIZE];
};

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static int64_t budget_ends_ms(const struct service *s)
{
    return s->started_ms + store_config(s->store)->restore_budget_s * (int64_t)1000;
}

static int start_prepare(struct service *s, unsigned parts, struct error *e)
{
    enum config_restore restore = store_config(s->store)->restore;
    unsigned what = parts & SERVICE_MIGRATE ? PREPARE_MIGRATE : 0;
    if ((parts & SERVICE_RESTORE) && (restore == CONFIG_RESTORE_BLOCK || restore == CONFIG_RESTORE_BACKGROUND))
        what |= PREPARE_RESTORE;
    s->startup_log = startup_log_begin(s->store);
    int r = prepare_start(&s->prepare, s->store, what, s->startup_log, e);
    if (r == 0) /* the first scan shall find tables, if there are any to find */
        (void)prepare_wait(s->prepare, PREPARE_AGAIN, s->signals,
                           earlier(s->started_ms + TABLES_MS, budget_ends_ms(s)));
    return r;
}

/* What comes back to the disk from here on and is changed elsewhere meanwhile is heard of. */
static int start_feed(struct service *s, struct error *e)
{
    int r = feed_start(&s->feed, s->store, s->watch, e);
    int64_t now_ms = clock_monotonic_ms();
    if (r == 0 && prepare_wait(s->prepare, PREPARE_TABLES, s->signals, now_ms) >= PREPARE_READY)
        feed_wait(s->feed, now_ms + FEED_MS);
    return r;
}

static int start_access(struct service *s, struct error *e)
{
    int r = access_start(&s->access, s->store);
    return r < 0 ? error_set(e, r, "no thread to note what is asked for: %s", strerror(-r)) : 0;
}

/* -ETIMEDOUT when the database holds it. What is lost is a measure of use, and no image. */
static int stop_access(struct service *s, int64_t deadline_ms)
{
    struct error why;
    int r = access_stop(s->access, earlier(deadline_ms, clock_monotonic_ms() + ACCESS_MS), &why);
    if (r < 0)
        log_event(LOG_WARN, "last accesses not recorded", LOG_STR("error", why.text));
    if (r == -EBUSY)
        return -ETIMEDOUT;
    s->access = NULL;
    return 0;
}

static void apply_limits(void *arg, const struct adaptive_limits *limits)
{
    struct service *s = arg;
    store_hot_limit(s->store, limits->items);
    store_redis_ttl(s->store, limits->ttl_s);
    log_event(LOG_INFO, limits->peak ? "limits of a peak hour" : "limits of a usual hour",
              LOG_INT("ttl_s", limits->ttl_s), LOG_INT("items", limits->items),
              LOG_INT("hour_requests", limits->hour_requests));
}

static int start_adaptive(struct service *s, struct error *e)
{
    if (!store_config(s->store)->adaptive_ttl)
        return 0;
    int r = adaptive_start(&s->adaptive, s->store, apply_limits, s);
    return r < 0 ? error_set(e, r, "no thread to look at the requests of the hour: %s", strerror(-r)) : 0;
}

static int start_instance(struct service *s, struct error *e)
{
    int r = instance_start(&s->instance, s->store);
    return r < 0 ? error_set(e, r, "cannot start the thread that notes uses of files: %s", strerror(-r)) : 0;
}

static int start_schedule(struct service *s, struct error *e)
{
    const struct schedule_options options = {.store = s->store,
                                             .instance = s->instance,
                                             .interval_s = store_config(s->store)->sync_interval_s,
                                             .wake_fd = -1};
    int r = schedule_start(&s->schedule, &options);
    return r < 0 ? error_set(e, r, "no thread for what is done at its time: %s", strerror(-r)) : 0;
}

static int start_http(struct service *s, unsigned parts, struct error *e)
{
    struct error why;
    s->api = (struct api_service){
        .store = s->store, .watch = s->watch, .feed = s->feed, .access = s->access, .adaptive = s->adaptive};
    int r = api_open(&s->api, &why);
    if (r == 0)
        r = http_server_start(&s->http, s->store, &api_hooks, &s->api, &why);
    if (r == 0) {
        address_url(s->url, store_config(s->store), http_server_port(s->http));
        return 0;
    }
    s->http = NULL;
    api_close(&s->api);
    if (parts & SERVICE_HTTP_OPTIONAL) {
        log_event(LOG_WARN, "HTTP service not started: set PERDURA_PORT to a free port", LOG_STR("error", why.text));
        return 0;
    }
    return error_set(e, r, "%s", why.text);
}

/* Large blocks go back to the system as soon as they are free. By itself the C library keeps blocks as large as any
 * that was freed (mallopt(3), M_MMAP_THRESHOLD), and what a rush of images took would stay. */
static void keep_memory_low(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_MIN);
}

int service_start(struct service **ret, struct store *store, unsigned parts, struct stop_signals *signals)
{
    struct error e;
    struct service *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(&e, -ENOMEM, "out of memory");
        return cli_fail(&e);
    }
    *s = (struct service){.store = store, .signals = signals, .started_ms = clock_monotonic_ms()};
    keep_memory_low();
    feed_reserve(store);
    int r = start_prepare(s, parts, &e);
    /* Before files come back and before the app writes any: no file is missed. What was restored is no news. */
    if (r == 0)
        r = watch_start(&s->watch, store, &e);
    if (r == 0)
        r = start_feed(s, &e);
    if (r == 0)
        r = start_access(s, &e);
    if (r == 0)
        r = start_adaptive(s, &e);
    if (r == 0)
        r = start_instance(s, &e);
    if (r == 0)
        r = start_schedule(s, &e);
    if (r == 0)
        r = start_http(s, parts, &e);
    if (r < 0) {
        int code = r == -EINVAL ? cli_fail_settings(&e) : cli_fail(&e);
        service_stop(s, code);
        return code;
    }
    prepare_restore(s->prepare);
    *ret = s;
    return 0;
}

void service_hold(struct service *s)
{
    const struct config *config = store_config(s->store);
    if (config->restore != CONFIG_RESTORE_BLOCK)
        return;
    if (prepare_wait(s->prepare, PREPARE_RESTORED, s->signals, budget_ends_ms(s)) < PREPARE_RESTORED &&
        !s->signals->first)
        log_event(LOG_WARN, "restore continues in the background", LOG_INT("waited_s", config->restore_budget_s));
}

void service_announce(const struct service *s)
{
    if (s->http)
        log_event(LOG_INFO, "listening", LOG_STR("url", s->url));
}

const char *service_url(const struct service *s)
{
    return s->http ? s->url : NULL;
}

int service_login_link(const struct service *s, char ret[SERVICE_LINK_SIZE])
{
    char token[API_LOGIN_LINK_SIZE];
    int r = s->http ? api_login_link(&s->api, token) : -ENOTCONN;
    if (r == 0)
        snprintf(ret, SERVICE_LINK_SIZE, "%s/admin/#login=%s", s->url, token);
    return r;
}

static int stop_http(struct service *s, int64_t deadline_ms)
{
    if (http_server_stop(s->http, deadline_ms) < 0)
        return -ETIMEDOUT;
    s->http = NULL;
    api_close(&s->api);
    return 0;
}

/* 0, or -ETIMEDOUT when the database holds a part: then nothing that it may still use is freed. */
static int stop_parts(struct service *s, int64_t deadline_ms)
{
    if (stop_http(s, deadline_ms) < 0)
        return -ETIMEDOUT;
    if (schedule_stop(s->schedule, deadline_ms) < 0)
        return -ETIMEDOUT;
    s->schedule = NULL;
    if (instance_stop(s->instance, deadline_ms) < 0)
        return -ETIMEDOUT;
    s->instance = NULL;
    adaptive_stop(s->adaptive);
    s->adaptive = NULL;
    if (feed_stop(s->feed, deadline_ms) < 0)
        return -ETIMEDOUT;
    s->feed = NULL;
    if (stop_access(s, deadline_ms) < 0 || prepare_stop(s->prepare, deadline_ms) < 0)
        return -ETIMEDOUT;
    startup_log_free(s->startup_log);
    watch_stop(s->watch);
    free(s);
    return 0;
}

static void leave(int code)
{
    fflush(NULL);
    _exit(code);
}

void service_stop(struct service *s, int code)
{
    if (stop_parts(s, clock_monotonic_ms() + DRAIN_GRACE_MS) < 0)
        leave(code);
}

static void tell_file(void *arg, const struct watch_file *file)
{
    (void)arg;
    log_event(LOG_ERROR, "file not persisted", LOG_STR("collection", file->key.collection),
              LOG_STR("path", file->key.path), LOG_INT("age_ms", file->age_ms),
              LOG_STR("error", file->why[0] ? file->why : "no time was left"));
}

static void tell_older(void *arg, const struct watch_file *file)
{
    (void)arg;
    log_event(LOG_WARN, "older file not stored", LOG_STR("collection", file->key.collection),
              LOG_STR("path", file->key.path), LOG_STR("error", file->why));
}

static void tell_one_not_kept(void *arg, const struct watch_file *file)
{
    (void)arg;
    log_event(LOG_INFO, "file not kept", LOG_STR("collection", file->key.collection), LOG_STR("path", file->key.path),
              LOG_STR("error", file->why));
}

/* What the settings do not keep is counted and named, whatever became of the rest. */
static void tell_not_kept(struct service *s, const struct watch_status *status)
{
    struct watch_kind kinds[KINDS_NAMED];
    char text[KINDS_NAMED * (WATCH_KIND_SIZE + 24)] = "";
    if (!status->not_kept)
        return;
    int n = watch_kinds(s->watch, kinds, KINDS_NAMED);
    for (int i = 0; i < n; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s%s=%lld", at ? " " : "", kinds[i].name, (long long)kinds[i].files);
    }
    watch_list(s->watch, WATCH_NOT_KEPT, NOT_KEPT_NAMES_MOST, tell_one_not_kept, NULL);
    log_event(LOG_WARN, "files not kept: they are not images", LOG_INT("files", status->not_kept),
              LOG_STR("kinds", text));
}

/* Where the folders could not be compared with the database, nothing known to be pending is no good news. */
static void tell_unpersisted(const struct watch_status *status, const struct error *why)
{
    int64_t known = status->pending + status->failed;
    struct log_field files = known ? LOG_INT("files", known) : LOG_STR("files", "unknown");
    log_event(LOG_ERROR, "exiting with unpersisted files: they are lost if this disk is discarded", files,
              LOG_INT("failed", status->failed), LOG_INT("not_kept", status->not_kept), LOG_STR("error", why->text));
}

static int flush(struct service *s, int64_t deadline_ms)
{
    struct watch_status status;
    struct error why = {0};
    int64_t started_ms = clock_monotonic_ms();
    int r = watch_flush(s->watch, deadline_ms, &why);
    watch_status(s->watch, &status);
    watch_list(s->watch, WATCH_OLDER, NAMES_MOST, tell_older, NULL);
    tell_not_kept(s, &status);
    if (r == 0)
        watch_tell_deletes(s->watch);
    if (r == 0) {
        log_event(LOG_INFO, "all files are persisted", LOG_INT("ms", clock_monotonic_ms() - started_ms),
                  LOG_INT("not_kept", status.not_kept), LOG_INT("older", status.older));
        return 0;
    }
    watch_list(s->watch, WATCH_FAILED, NAMES_MOST, tell_file, NULL);
    watch_list(s->watch, WATCH_PENDING, NAMES_MOST, tell_file, NULL);
    tell_unpersisted(&status, &why);
    return -EIO;
}

int service_end(struct service *s, int64_t deadline_ms, int code)
{
    prepare_cancel(s->prepare); /* they would compete for connections */
    schedule_cancel(s->schedule);
    (void)!stop_http(s, earlier(deadline_ms, clock_monotonic_ms() + HTTP_MS));
    int flushed = flush(s, deadline_ms);
    if (!s->http) /* else requests may still note what they were for */
        (void)!stop_access(s, deadline_ms);
    if (flushed < 0) {
        (void)!prepare_stop(s->prepare, clock_monotonic_ms() + END_MS);
        leave(code ? code : SERVICE_UNFLUSHED);
    }
    service_stop(s, code);
    return code;
}
