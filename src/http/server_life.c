/* All that the HTTP service consists of is started here, and ends in the order in which nobody is gone whom others
 * still need. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metric.h"
#include "http/auth.h"
#include "http/jobs.h"
#include "http/listen.h"
#include "http/minutes.h"
#include "http/patrol.h"
#include "http/pools.h"
#include "http/server_parts.h"
#include "http/session.h"
#include "store/store.h"
#include "store/store_proxy.h"

#define ROUND_US   10000 /* while the last requests are waited for */
#define GIVE_UP_MS 2000  /* before the end, for those that wait for an origin */

/* As many as there are cores. */
static int start_loops(struct http_server *s, int listen_fd)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return loops_start(&s->loops, listen_fd, cores > 1 ? (int)cores : 2, server_make_daemon, s);
}

int http_server_start(struct http_server **ret, const struct http_service *service, struct error *e)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, -ENOMEM, "out of memory");
    s->service = *service;
    s->config = store_config(service->store);
    int fd = -1;
    metric_set(METRIC_start_time_seconds, METRIC_none, METRIC_none, clock_realtime_us());
    int r = auth_open(&s->service.auth, s->config, e);
    if (r == 0 && (r = jobs_open(&s->service.jobs, service->store)) < 0)
        r = error_set(e, r, "out of memory");
    s->service.login_limit = &s->login_limit;
    if (r == 0 && (r = sessions_open(&s->service.sessions, service->store)) < 0)
        r = error_set(e, r, "out of memory");
    if (r == 0 && (r = minutes_start(&s->service.minutes)) < 0)
        r = error_set(e, r, "no thread to count reads by the minute: %s", strerror(-r));
    if (r == 0)
        r = http_listen(s->config->bind, s->config->port, &fd, &s->port, e);
    if (r == 0 && (r = patrol_start(&s->patrol)) < 0)
        r = error_set(e, r, "no thread to watch over the connections: %s", strerror(-r));
    if (r == 0)
        r = store_fetch_start(service->store, e);
    if (r == 0)
        r = store_proxy_start(service->store, e);
    if (r == 0 && (r = pools_start(&s->pools)) < 0)
        r = error_set(e, r, "no threads: %s", strerror(-r));
    if (r < 0 && fd >= 0)
        close(fd);
    if (r == 0 && (r = start_loops(s, fd)) < 0)
        r = error_set(e, r, "the HTTP server can't be started: %s", strerror(-r));
    if (r < 0) {
        (void)!http_server_stop(s, 0);
        return r;
    }
    *ret = s;
    return 0;
}

int http_server_port(const struct http_server *server)
{
    return server->port;
}

int http_server_login_link(struct http_server *server, char ret[HTTP_LOGIN_LINK_SIZE])
{
    return sessions_make_link(server->service.sessions, ret);
}

/* New connections are refused; who has one is told to close it. */
static void begin_stop(struct http_server *s)
{
    if (atomic_exchange(&s->stopping, 1))
        return;
    loops_refuse(s->loops);
    jobs_cancel(s->service.jobs);
}

static int end_requests(struct http_server *s, int64_t deadline_ms)
{
    begin_stop(s);
    while (atomic_load(&s->under_way) && clock_left_ms(deadline_ms) > GIVE_UP_MS)
        usleep(ROUND_US);
    store_proxy_give_up(s->service.store);
    while (atomic_load(&s->under_way) && clock_left_ms(deadline_ms))
        usleep(ROUND_US);
    atomic_store(&s->closing, 1);
    while (atomic_load(&s->suspended) && clock_left_ms(deadline_ms))
        usleep(ROUND_US);
    if (atomic_load(&s->suspended))
        return -ETIMEDOUT;
    loops_stop(s->loops);
    s->loops = NULL;
    return 0;
}

int http_server_stop(struct http_server *s, int64_t deadline_ms)
{
    if (!s)
        return 0;
    if (s->loops && end_requests(s, deadline_ms) < 0)
        return -ETIMEDOUT;
    while (s->service.jobs && jobs_running(s->service.jobs)) {
        if (!clock_left_ms(deadline_ms))
            return -ETIMEDOUT;
        usleep(ROUND_US);
    }
    if (store_fetch_stop(s->service.store, deadline_ms) < 0 || store_proxy_stop(s->service.store, deadline_ms) < 0)
        return -ETIMEDOUT;
    pools_finish(s->pools);
    jobs_close(s->service.jobs);
    patrol_stop(s->patrol);
    sessions_close(s->service.sessions);
    minutes_stop(s->service.minutes);
    auth_close(s->service.auth);
    free(s);
    return 0;
}
