/* What an operator looks back on, and what is set: uploads, requests by hour and by minute, settings. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/describe.h"
#include "api/paging.h"
#include "api/read_stats.h"
#include "api/routes.h"
#include "codec/url.h"
#include "config/config_print.h"
#include "records/history.h"

#define HOURS_DEFAULT 168
#define HOURS_MAX     192 /* that are kept */

static void add_upload(void *arg, const struct store_upload *u)
{
    json_array_append_new(
        arg, json_pack("{s:I, s:s, s:s, s:s, s:s?, s:I, s:I, s:s, s:o, s:o, s:s?}", "id", (json_int_t)u->id,
                       "temp_filename", u->name, "collection", u->collection, "state", u->state, "reason", u->why,
                       "attempts", (json_int_t)u->attempts, "size", (json_int_t)u->size, "mime", u->mime, "created_at",
                       describe_time(u->created_us), "completed_at", describe_time(u->completed_us), "path", u->path));
}

static const char *given(const struct url_query *query, const char *name)
{
    const char *text = url_query_get(query, name);
    return text && *text ? text : NULL;
}

static int list_uploads(struct store *store, const struct url_query *query, const struct store_history_page *page,
                        char ret_cursor[STORE_HISTORY_CURSOR_SIZE], json_t *rows, struct error *e)
{
    const char *state = given(query, "state");
    if (state && strcmp(state, "pending") != 0 && strcmp(state, "failed") != 0 && strcmp(state, "completed") != 0)
        return error_set(e, -EINVAL, "state has to be pending, failed or completed");
    return store_uploads(store, state, given(query, "collection"), page, ret_cursor, add_upload, rows, e);
}

void route_uploads_list(struct http_transaction *x)
{
    json_t *body = paging_list(x, "uploads", list_uploads);
    if (body)
        http_answer_json(x, 200, body);
}

static int read_hours(const struct url_query *query, int *ret)
{
    const char *text = given(query, "hours");
    char *end;
    long n = text ? strtol(text, &end, 10) : HOURS_DEFAULT;
    if (text && (*end || n < 1 || n > HOURS_MAX))
        return -EINVAL;
    *ret = (int)n;
    return 0;
}

static void add_hour(void *arg, int64_t hour_us, const char *collection, int64_t requests)
{
    json_array_append_new(arg, json_pack("{s:o, s:s, s:I}", "hour", describe_time(hour_us), "collection", collection,
                                         "requests", (json_int_t)requests));
}

void route_history(struct http_transaction *x)
{
    struct url_query query;
    struct error why;
    int hours;
    if (http_query(x, &query) < 0)
        return;
    int r = read_hours(&query, &hours);
    url_query_release(&query);
    if (r < 0) {
        http_answer_problem(x, 400, "hours has to be a number from 1 to %d", HOURS_MAX);
        return;
    }
    json_t *list = json_array();
    if (store_requests(x->service->store, hours, add_hour, list, &why) < 0) {
        json_decref(list);
        http_answer_error(x, NULL, &why);
        return;
    }
    http_answer_json(x, 200,
                     json_pack("{s:o, s:o}", "hours", list, "minutes", read_stats_describe(x->service->read_stats)));
}

void route_settings(struct http_transaction *x)
{
    json_t *list = json_array();
    struct config_entry entry;
    for (size_t i = 0; config_entry(store_config(x->service->store), i, &entry); i++)
        json_array_append_new(list, json_pack("{s:s, s:s?, s:s, s:s, s:s, s:s?, s:b}", "name", entry.name, "value",
                                              entry.value, "source", entry.source, "unit", entry.unit, "help",
                                              entry.help, "default", entry.fallback, "secret", entry.secret));
    http_answer_json(x, 200, list);
}
