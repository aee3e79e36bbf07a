/* Jobs: cache-all, cleanup, restore, and how they get on. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/url.h"
#include "config/config.h"
#include "http/jobs.h"
#include "http/routes.h"
#include "http/server.h"
#include "job/cache_all.h"
#include "job/cleanup.h"
#include "job/restore.h"
#include "store/store.h"

/* The names of all collections, ended by NULL; to be freed. */
static const char **all_collections(const struct config *config)
{
    const char **names = calloc(config->collections_len + 1, sizeof *names);
    for (size_t i = 0; names && i < config->collections_len; i++)
        names[i] = config->collections[i].name;
    return names;
}

static int out_of_memory(struct job *job)
{
    struct error why;
    error_set(&why, -ENOMEM, "out of memory");
    job_fail(job, &why);
    return -ENOMEM;
}

static int run_cache_all(struct job *job, const json_t *arguments)
{
    const char **collections = all_collections(store_config(job->store));
    if (!collections)
        return out_of_memory(job);
    const struct cache_all_options options = {.collections = collections,
                                              .checksum = json_is_true(json_object_get(arguments, "checksum"))};
    int r = cache_all_run(job, &options);
    free(collections);
    return r;
}

static int run_restore(struct job *job, const json_t *arguments)
{
    const char **collections = all_collections(store_config(job->store));
    const json_t *paths = json_object_get(arguments, "paths");
    const char *collection = json_string_value(json_object_get(arguments, "collection"));
    struct image_key *keys = paths ? calloc(json_array_size(paths) + 1, sizeof *keys) : NULL;
    int r = -ENOMEM;
    if (collections && (keys || !paths)) {
        struct restore_options options = {.keys = keys, .collections = collections};
        options.force = json_is_true(json_object_get(arguments, "force"));
        for (; paths && options.keys_len < (int)json_array_size(paths); options.keys_len++)
            keys[options.keys_len] = (struct image_key){
                collection ? collection : "media", json_string_value(json_array_get(paths, (size_t)options.keys_len))};
        r = restore_run(job, &options);
    } else {
        (void)out_of_memory(job);
    }
    free(keys);
    free(collections);
    return r;
}

static void init_cleanup(struct job *job, struct store *store, job_problem_fn *problem, void *arg)
{
    (void)problem;
    (void)arg;
    cleanup_init(job, store);
}

static int run_cleanup(struct job *job, const json_t *arguments)
{
    const json_t *days = json_object_get(arguments, "days");
    return cleanup_run(job, days ? (int)json_integer_value(days) : store_config(job->store)->cleanup_days);
}

static const struct jobs_kind cache_all = {"cache-all", cache_all_init, run_cache_all};
static const struct jobs_kind restore = {"restore", restore_init, run_restore};
static const struct jobs_kind cleanup = {"cleanup", init_cleanup, run_cleanup};

/* What an argument of each name has to be. */
static const char *wrong_argument(const char *name, const json_t *value)
{
    if (strcmp(name, "days") == 0)
        return json_is_integer(value) && json_integer_value(value) >= 1 && json_integer_value(value) <= 36500
                   ? NULL
                   : "a number from 1 to 36500";
    if (strcmp(name, "collection") == 0)
        return json_is_string(value) ? NULL : "a text";
    if (strcmp(name, "paths") != 0)
        return json_is_boolean(value) ? NULL : "true or false";
    const json_t *path;
    size_t i;
    if (!json_is_array(value) || !json_array_size(value))
        return "a list of paths";
    json_array_foreach(value, i, path)
    {
        if (!json_is_string(path))
            return "a list of paths";
    }
    return NULL;
}

/* The body as an object with no other names than those of `known`. NULL: it is answered. */
static json_t *arguments_of(struct http_exchange *x, const char *const *known)
{
    json_error_t where;
    json_t *arguments =
        x->body.len ? json_loadb(x->body.data, x->body.len, JSON_REJECT_DUPLICATES, &where) : json_object();
    const char *name;
    json_t *value;
    if (!arguments || !json_is_object(arguments)) {
        json_decref(arguments);
        http_answer_problem(x, 400, "the body is no JSON object%s%s", arguments ? "" : ": ",
                            arguments ? "" : where.text);
        return NULL;
    }
    json_object_foreach(arguments, name, value)
    {
        int i = 0;
        while (known[i] && strcmp(known[i], name) != 0)
            i++;
        const char *wrong = known[i] ? wrong_argument(name, value) : "left out: it is unknown here";
        if (wrong) {
            http_answer_problem(x, 400, "\"%.40s\" has to be %s", name, wrong);
            json_decref(arguments);
            return NULL;
        }
    }
    return arguments;
}

static void start(struct http_exchange *x, const struct jobs_kind *kind, const char *const *known)
{
    json_t *arguments = arguments_of(x, known);
    int later = x->raw_query && url_query_has(x->raw_query, strlen(x->raw_query), "async");
    if (arguments)
        jobs_start(x->service->jobs, x, kind, arguments, later);
}

void route_cache_all(struct http_exchange *x)
{
    static const char *const known[] = {"dry_run", "checksum", NULL};
    start(x, &cache_all, known);
}

void route_cleanup(struct http_exchange *x)
{
    static const char *const known[] = {"dry_run", "days", NULL};
    start(x, &cleanup, known);
}

void route_restore(struct http_exchange *x)
{
    static const char *const known[] = {"dry_run", "force", "collection", "paths", NULL};
    start(x, &restore, known);
}

static json_t *asked_for(struct http_exchange *x)
{
    char *end;
    long long id = strtoll(x->tail, &end, 10);
    json_t *job = end == x->tail || (*end && *end != '/') ? NULL : jobs_describe(x->service->jobs, id);
    if (!job)
        http_answer_problem(x, 404, "no job of this number was started here lately; see /image-cache/status");
    return job;
}

void route_job(struct http_exchange *x)
{
    json_t *job = asked_for(x);
    if (job)
        http_answer_json(x, 200, job);
}

/* Server-sent events (HTML standard, section 9.2): the job as it stands, every second; "end" is the last one. */
struct events {
    int ended;  /* the last event was sent */
    int paused; /* an event was sent a moment ago */
};

/* The next event's text, to be freed. NULL: it is forgotten. */
static char *next_event(struct http_exchange *x, int *ret_ended)
{
    json_t *job = jobs_describe(x->service->jobs, strtoll(x->tail, NULL, 10));
    if (!job)
        return NULL;
    *ret_ended = strcmp(json_string_value(json_object_get(job, "state")), "running") != 0;
    (void)json_object_del(job, "errors"); /* they can be many: the job itself has them */
    char *data = json_dumps(job, JSON_COMPACT | JSON_REAL_PRECISION(12)), *event = NULL;
    json_decref(job);
    if (data && asprintf(&event, "event: %s\ndata: %s\n\n", *ret_ended ? "end" : "progress", data) < 0)
        event = NULL;
    free(data);
    return event;
}

static ssize_t stream_events(struct http_exchange *x, char *to, size_t max)
{
    struct events *events = x->state;
    if (events->ended)
        return -1;
    events->paused = !events->paused;
    if (!events->paused)
        return 0;
    char *event = next_event(x, &events->ended);
    size_t n = event ? strlen(event) : 0;
    if (!n || n > max) {
        free(event);
        return -1;
    }
    memcpy(to, event, n);
    free(event);
    return (ssize_t)n;
}

void route_job_events(struct http_exchange *x)
{
    json_t *job = asked_for(x);
    if (!job)
        return;
    json_decref(job);
    x->state = calloc(1, sizeof(struct events));
    if (!x->state) {
        http_answer_problem(x, 500, "out of memory");
        return;
    }
    x->answer.status = 200;
    x->answer.stream = stream_events;
    http_add_header(x, "Content-Type", "text/event-stream");
    http_add_header(x, "Cache-Control", "no-store");
}
