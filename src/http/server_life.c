/* All that the HTTP service consists of is started here, and ends in the order in which nobody is gone whom others
 * still need. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metric.h"
#include "config/config.h"
#include "http/conn_timeout.h"
#include "http/listen.h"
#include "http/pools.h"
#include "http/server_internal.h"
#include "store/store.h"
#include "store/store_proxy.h"

#define ROUND_US   10000 /* while the last requests are waited for */
#define GIVE_UP_MS 2000  /* before the end, for those that wait for an origin */

/* As many as there are cores. */
static int start_loops(struct http_server *s, int listen_fd)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return daemons_start(&s->daemons, listen_fd, cores > 1 ? (int)cores : 2, server_make_daemon, s);
}

int http_server_start(struct http_server **ret, struct store *store, const struct http_hooks *hooks,
                      const struct api_service *service, struct error *e)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, -ENOMEM, "out of memory");
    s->hooks = hooks;
    s->service = service;
    s->store = store;
    s->config = store_config(store);
    int fd = -1;
    metric_set(METRIC_start_time_seconds, METRIC_none, METRIC_none, clock_realtime_us());
    int r = http_listen(s->config->bind, s->config->port, &fd, &s->port, e);
    if (r == 0 && (r = conn_timeout_start(&s->conn_timeout)) < 0)
        r = error_set(e, r, "no thread to watch over the connections: %s", strerror(-r));
    if (r == 0)
        r = store_fetch_start(store, e);
    if (r == 0)
        r = store_proxy_start(store, e);
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

/* New connections are refused; who has one is told to close it. */
static void begin_stop(struct http_server *s)
{
    if (atomic_exchange(&s->stopping, 1))
        return;
    daemons_refuse(s->daemons);
    s->hooks->stop_jobs(s->service);
}

static int end_requests(struct http_server *s, int64_t deadline_ms)
{
    begin_stop(s);
    while (atomic_load(&s->under_way) && clock_left_ms(deadline_ms) > GIVE_UP_MS)
        usleep(ROUND_US);
    store_proxy_give_up(s->store);
    while (atomic_load(&s->under_way) && clock_left_ms(deadline_ms))
        usleep(ROUND_US);
    atomic_store(&s->closing, 1);
    while (atomic_load(&s->suspended) && clock_left_ms(deadline_ms))
        usleep(ROUND_US);
    if (atomic_load(&s->suspended))
        return -ETIMEDOUT;
    daemons_stop(s->daemons);
    s->daemons = NULL;
    return 0;
}

int http_server_stop(struct http_server *s, int64_t deadline_ms)
{
    if (!s)
        return 0;
    if (s->daemons && end_requests(s, deadline_ms) < 0)
        return -ETIMEDOUT;
    while (s->hooks->jobs_running(s->service)) {
        if (!clock_left_ms(deadline_ms))
            return -ETIMEDOUT;
        usleep(ROUND_US);
    }
    if (store_fetch_stop(s->store, deadline_ms) < 0 || store_proxy_stop(s->store, deadline_ms) < 0)
        return -ETIMEDOUT;
    pools_finish(s->pools);
    conn_timeout_stop(s->conn_timeout);
    free(s);
    return 0;
}
