/* Starting jobs: cache-all, cleanup, restore, warmup, check, fsck. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/arguments.h"
#include "api/describe.h"
#include "api/jobs.h"
#include "api/routes.h"
#include "config/config.h"
#include "job/cache_all.h"
#include "job/check.h"
#include "job/cleanup.h"
#include "job/fsck.h"
#include "job/restore.h"
#include "job/warmup.h"
#include "store/store_search.h"

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
    struct restore_options options = {.force = json_is_true(json_object_get(arguments, "force")),
                                      .cleaned_up = json_is_true(json_object_get(arguments, "cleaned_up"))};
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

static int run_cleanup(struct job *job, const json_t *arguments)
{
    const json_t *days = json_object_get(arguments, "days");
    int requests_only = json_is_true(json_object_get(arguments, "requests_only"));
    return cleanup_run(job, days ? (int)json_integer_value(days) : store_config(job->store)->cleanup_days,
                       requests_only ? CLEANUP_REQUESTS : CLEANUP_ALL_USES);
}

/* What differs is listed like an error, with what it is. */
static void list_mark(void *arg, enum check_mark mark, const struct image_key *key, const struct error *why)
{
    static const struct {
        enum check_mark mark;
        const char *kind, *text;
    } kinds[] = {
        {CHECK_DISK_ONLY, "disk_only", "is on disk and not stored"},
        {CHECK_STORE_ONLY, "store_only", "is stored and not on disk"},
        {CHECK_DIFFERS, "differs", "differs"},
        {CHECK_ERROR, "error", "can't be compared"},
    };
    struct error said = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].mark != mark)
            continue;
        error_set(&said, 0, "%s", why ? why->text : kinds[i].text);
        json_t *error = describe_problem(key, &said);
        json_object_set_new(error, "kind", json_string(kinds[i].kind));
        jobs_list_error(arg, error);
    }
}

/* Of those in `state` in a collection (NULL: all), for who waits; without the database nothing is expected. */
static void expect(struct job *job, const char *collection, enum store_state state)
{
    struct store_filter all = store_filter_any();
    int64_t total;
    all.collection = collection;
    all.state = state;
    if (store_total(job->store, &all, &total, NULL) == 0)
        atomic_fetch_add(&job->expected, total);
}

static int run_check(struct job *job, const json_t *arguments)
{
    const char *collection = http_argument_text(arguments, "collection");
    const char **collections = config_collection_names(store_config(job->store), collection);
    if (!collections)
        return out_of_memory(job);
    const struct check_options options = {.collections = collections,
                                          .quick = json_is_true(json_object_get(arguments, "quick")),
                                          .mark = list_mark,
                                          .arg = job->arg};
    expect(job, collection, STORE_LIVE);
    int r = check_run(job, &options);
    free(collections);
    job_record(job);
    return r;
}

static int run_fsck(struct job *job, const json_t *arguments)
{
    (void)arguments;
    expect(job, NULL, STORE_LIVE);
    expect(job, NULL, STORE_TRASH);
    return fsck_run(job);
}

static const struct jobs_kind cache_all = {"cache-all", NULL, cache_all_init, run_cache_all, NULL};
static const struct jobs_kind restore = {"restore", NULL, restore_init, run_restore, NULL};
static const struct jobs_kind warmup = {"warmup", NULL, warmup_init, run_warmup, NULL};
static const struct jobs_kind cleanup = {"cleanup", NULL, cleanup_init, run_cleanup, NULL};

static const struct jobs_kind check = {"check", NULL, check_init, run_check, NULL};
static const struct jobs_kind fsck = {"fsck", NULL, fsck_init, run_fsck, NULL};

/* Whether arguments that name images go together; else it is answered. */
static int agree(struct http_transaction *x, const json_t *arguments)
{
    const char *collection = http_argument_text(arguments, "collection");
    int entity = json_object_get(arguments, "content_type") != NULL;
    if (collection && !config_collection(store_config(x->service->store), collection))
        http_answer_problem(x, 400, "there is no collection \"%.64s\" here; see PERDURA_COLLECTIONS", collection);
    else if (json_is_true(json_object_get(arguments, "cleaned_up")) && (entity || json_object_get(arguments, "paths")))
        http_answer_problem(x, 400, "\"cleaned_up\" means images by themselves: name no paths and no entity");
    else if (entity && (json_object_get(arguments, "paths") || collection))
        http_answer_problem(x, 400, "name paths, or an entity by \"content_type\" and \"object_id\", not both");
    else if (entity != (json_object_get(arguments, "object_id") != NULL) ||
             (!entity && json_object_get(arguments, "variant")))
        http_answer_problem(x, 400, "an entity needs \"content_type\" and \"object_id\"");
    else
        return 1;
    return 0;
}

static void start(struct http_transaction *x, const struct jobs_kind *kind, const struct http_argument *known)
{
    json_t *arguments = http_arguments(x, known);
    if (arguments && agree(x, arguments))
        jobs_start(x->service->jobs, x, kind, arguments, jobs_wants_later(x));
    else
        json_decref(arguments);
}

void route_cache_all(struct http_transaction *x)
{
    static const struct http_argument known[] = {
        {"dry_run", HTTP_ARGUMENT_FLAG}, {"checksum", HTTP_ARGUMENT_FLAG}, {NULL, 0}};
    start(x, &cache_all, known);
}

void route_cleanup(struct http_transaction *x)
{
    static const struct http_argument known[] = {{"dry_run", HTTP_ARGUMENT_FLAG},
                                                 {"days", HTTP_ARGUMENT_DAYS},
                                                 {"requests_only", HTTP_ARGUMENT_FLAG},
                                                 {NULL, 0}};
    json_t *arguments = http_arguments(x, known);
    if (!arguments)
        return;
    if (json_object_get(arguments, "days") || store_config(x->service->store)->cleanup_days) {
        jobs_start(x->service->jobs, x, &cleanup, arguments, jobs_wants_later(x));
        return;
    }
    json_decref(arguments);
    http_answer_problem(x, 400, "\"days\" is required, because PERDURA_CLEANUP_DAYS is off");
}

void route_restore(struct http_transaction *x)
{
    static const struct http_argument known[] = {
        {"dry_run", HTTP_ARGUMENT_FLAG},      {"force", HTTP_ARGUMENT_FLAG},      {"collection", HTTP_ARGUMENT_TEXT},
        {"paths", HTTP_ARGUMENT_PATHS},       {"object_id", HTTP_ARGUMENT_TEXT},  {"variant", HTTP_ARGUMENT_TEXT},
        {"content_type", HTTP_ARGUMENT_TEXT}, {"cleaned_up", HTTP_ARGUMENT_FLAG}, {NULL, 0},
    };
    start(x, &restore, known);
}

void route_warmup(struct http_transaction *x)
{
    static const struct http_argument known[] = {{"dry_run", HTTP_ARGUMENT_FLAG},
                                                 {"images", HTTP_ARGUMENT_COUNT},
                                                 {"collection", HTTP_ARGUMENT_TEXT},
                                                 {NULL, 0}};
    start(x, &warmup, known);
}

void route_check(struct http_transaction *x)
{
    static const struct http_argument known[] = {
        {"quick", HTTP_ARGUMENT_FLAG}, {"collection", HTTP_ARGUMENT_TEXT}, {NULL, 0}};
    start(x, &check, known);
}

void route_fsck(struct http_transaction *x)
{
    static const struct http_argument known[] = {{NULL, 0}};
    start(x, &fsck, known);
}
