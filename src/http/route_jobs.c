/* Jobs: cache-all, cleanup, restore, warmup, and how they get on. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/url.h"
#include "config/config.h"
#include "http/arguments.h"
#include "http/jobs.h"
#include "http/routes.h"
#include "http/server.h"
#include "job/cache_all.h"
#include "job/cleanup.h"
#include "job/restore.h"
#include "job/warmup.h"
#include "store/store.h"

#define ENTITY_MAX 1000 /* images of one entity */

static int out_of_memory(struct job *job)
{
    struct error why;
    error_set(&why, -ENOMEM, "out of memory");
    job_fail(job, &why);
    return -ENOMEM;
}

static int run_cache_all(struct job *job, const json_t *arguments)
{
    const char **collections = config_collection_names(store_config(job->store), NULL);
    if (!collections)
        return out_of_memory(job);
    const struct cache_all_options options = {.collections = collections,
                                              .checksum = json_is_true(json_object_get(arguments, "checksum"))};
    int r = cache_all_run(job, &options);
    free(collections);
    return r;
}

/* The images that the arguments name: by path, or those of an entity. Sets *ret_page, from which keys may borrow, and
 * *ret_len. NULL: out of memory, or the job has failed. */
static struct image_key *named(struct job *job, const json_t *arguments, struct store_page **ret_page, int *ret_len)
{
    const json_t *paths = json_object_get(arguments, "paths");
    const char *collection = http_argument_text(arguments, "collection");
    struct image_meta meta;
    struct error why;
    if (!paths && store_entity(job->store, http_argument_text(arguments, "content_type"),
                               http_argument_text(arguments, "object_id"), http_argument_text(arguments, "variant"),
                               ENTITY_MAX, ret_page, &why) < 0) {
        job_fail(job, &why);
        return NULL;
    }
    *ret_len = paths ? (int)json_array_size(paths) : store_page_count(*ret_page);
    struct image_key *keys = calloc((size_t)*ret_len, sizeof *keys);
    for (int i = 0; keys && i < *ret_len; i++) {
        if (paths) {
            keys[i].collection = collection ? collection : "media";
            keys[i].path = json_string_value(json_array_get(paths, (size_t)i));
        } else {
            store_page_meta(*ret_page, i, &meta);
            keys[i] = meta.key;
        }
    }
    return keys;
}

static int restore_named(struct job *job, const json_t *arguments, struct restore_options *options)
{
    struct store_page *page = NULL;
    struct image_key *keys = named(job, arguments, &page, &options->keys_len);
    options->keys = keys;
    int r = keys ? restore_run(job, options) : job->failure.code ? job->failure.code : out_of_memory(job);
    free(keys);
    store_page_free(page);
    return r;
}

/* Of one collection; NULL: of all. */
static int restore_hottest(struct job *job, const char *collection, struct restore_options *options)
{
    const char **collections = config_collection_names(store_config(job->store), collection);
    options->collections = collections;
    int r = collections ? restore_run(job, options) : out_of_memory(job);
    free(collections);
    return r;
}

static int run_restore(struct job *job, const json_t *arguments)
{
    struct restore_options options = {.force = json_is_true(json_object_get(arguments, "force"))};
    if (json_object_get(arguments, "paths") || json_object_get(arguments, "content_type"))
        return restore_named(job, arguments, &options);
    return restore_hottest(job, http_argument_text(arguments, "collection"), &options);
}

static int run_warmup(struct job *job, const json_t *arguments)
{
    const json_t *images = json_object_get(arguments, "images");
    const char **collections =
        config_collection_names(store_config(job->store), http_argument_text(arguments, "collection"));
    if (!collections)
        return out_of_memory(job);
    const struct warmup_options options = {.collections = collections, .most = images ? json_integer_value(images) : 0};
    int r = warmup_run(job, &options);
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

static const struct jobs_kind cache_all = {"cache-all", cache_all_init, run_cache_all, NULL};
static const struct jobs_kind restore = {"restore", restore_init, run_restore, NULL};
static const struct jobs_kind warmup = {"warmup", warmup_init, run_warmup, NULL};
static const struct jobs_kind cleanup = {"cleanup", init_cleanup, run_cleanup, NULL};

/* Whether arguments that name images go together; else it is answered. */
static int agree(struct http_exchange *x, const json_t *arguments)
{
    const char *collection = http_argument_text(arguments, "collection");
    int entity = json_object_get(arguments, "content_type") != NULL;
    if (collection && !config_collection(store_config(x->service->store), collection))
        http_answer_problem(x, 400, "there is no collection \"%.64s\" here; see PERDURA_COLLECTIONS", collection);
    else if (entity && (json_object_get(arguments, "paths") || collection))
        http_answer_problem(x, 400, "name paths, or an entity by \"content_type\" and \"object_id\", not both");
    else if (entity != (json_object_get(arguments, "object_id") != NULL) ||
             (!entity && json_object_get(arguments, "variant")))
        http_answer_problem(x, 400, "an entity needs \"content_type\" and \"object_id\"");
    else
        return 1;
    return 0;
}

static void start(struct http_exchange *x, const struct jobs_kind *kind, const struct http_argument *known)
{
    json_t *arguments = http_arguments(x, known);
    if (arguments && agree(x, arguments))
        jobs_start(x->service->jobs, x, kind, arguments, jobs_wants_later(x));
    else
        json_decref(arguments);
}

void route_cache_all(struct http_exchange *x)
{
    static const struct http_argument known[] = {
        {"dry_run", HTTP_ARGUMENT_FLAG}, {"checksum", HTTP_ARGUMENT_FLAG}, {NULL, 0}};
    start(x, &cache_all, known);
}

void route_cleanup(struct http_exchange *x)
{
    static const struct http_argument known[] = {
        {"dry_run", HTTP_ARGUMENT_FLAG}, {"days", HTTP_ARGUMENT_DAYS}, {NULL, 0}};
    start(x, &cleanup, known);
}

void route_restore(struct http_exchange *x)
{
    static const struct http_argument known[] = {
        {"dry_run", HTTP_ARGUMENT_FLAG},      {"force", HTTP_ARGUMENT_FLAG},
        {"collection", HTTP_ARGUMENT_TEXT},   {"paths", HTTP_ARGUMENT_PATHS},
        {"object_id", HTTP_ARGUMENT_TEXT},    {"variant", HTTP_ARGUMENT_TEXT},
        {"content_type", HTTP_ARGUMENT_TEXT}, {NULL, 0},
    };
    start(x, &restore, known);
}

void route_warmup(struct http_exchange *x)
{
    static const struct http_argument known[] = {{"dry_run", HTTP_ARGUMENT_FLAG},
                                                 {"images", HTTP_ARGUMENT_COUNT},
                                                 {"collection", HTTP_ARGUMENT_TEXT},
                                                 {NULL, 0}};
    start(x, &warmup, known);
}

static json_t *asked_for(struct http_exchange *x)
{
    json_t *job = jobs_describe(x->service->jobs, http_tail_number(x));
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
    json_t *job = jobs_describe(x->service->jobs, http_tail_number(x));
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
