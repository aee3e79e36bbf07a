#include "api/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/auth.h"
#include "api/authorize.h"
#include "api/jobs.h"
#include "api/login_limit.h"
#include "api/read_stats.h"
#include "api/routes.h"
#include "api/session.h"
#include "store/store.h"

int api_open(struct api_service *s, struct error *e)
{
    int r = auth_open(&s->auth, store_config(s->store), e);
    if (r == 0 && !(s->login_limit = calloc(1, sizeof *s->login_limit)))
        r = error_set(e, -ENOMEM, "out of memory");
    if (r == 0 && (r = jobs_open(&s->jobs, s->store)) < 0)
        r = error_set(e, r, "out of memory");
    if (r == 0 && (r = sessions_open(&s->sessions, s->store)) < 0)
        r = error_set(e, r, "out of memory");
    if (r == 0 && (r = read_stats_start(&s->read_stats)) < 0)
        r = error_set(e, r, "no thread to count reads by the minute: %s", strerror(-r));
    if (r < 0)
        api_close(s);
    return r;
}

void api_close(struct api_service *s)
{
    jobs_close(s->jobs);
    sessions_close(s->sessions);
    read_stats_stop(s->read_stats);
    free(s->login_limit);
    auth_close(s->auth);
    s->jobs = NULL;
    s->sessions = NULL;
    s->read_stats = NULL;
    s->login_limit = NULL;
    s->auth = NULL;
}

int api_login_link(const struct api_service *s, char ret[API_LOGIN_LINK_SIZE])
{
    return sessions_make_link(s->sessions, ret);
}

static void finish_answer(struct http_transaction *x)
{
    if (x->route && x->route->label == METRIC_route_admin)
        route_admin_headers(x);
}

static void stop_jobs(const struct api_service *s)
{
    jobs_cancel(s->jobs);
}

static int count_jobs(const struct api_service *s)
{
    return jobs_running(s->jobs);
}

const struct http_hooks api_hooks = {
    .routes = api_routes,
    .authorize = http_authorize,
    .authorize_session = http_authorize_session,
    .begin_form = route_upload_begin,
    .finish_answer = finish_answer,
    .stop_jobs = stop_jobs,
    .jobs_running = count_jobs,
};
