/* One thing done to many images: POST /image-cache/images/bulk. */
#include <errno.h>

#include "api/api.h"
#include "api/arguments.h"
#include "api/image_search.h"
#include "api/jobs.h"
#include "api/routes.h"
#include "job/bulk.h"

_Static_assert(HTTP_ARGUMENT_IDS_MAX <= BULK_IDS_MAX, "what a request may name is done at once");

/* Whether it means all live images or the whole trash, of one collection or of all, and nobody has said which one. */
static int is_everything(const json_t *filter, const struct store_filter *read)
{
    size_t conditions = json_object_size(filter) - (json_object_get(filter, "state") != NULL);
    return read->state != STORE_LARGE && (!conditions || (!read->collection && store_filter_is_open(read)));
}

/* The filter of the arguments, for an action that is about live images or about the trash. -EINVAL. */
static int read_filter(const json_t *arguments, enum bulk_action action, struct store_filter *ret, struct error *e)
{
    const json_t *filter = json_object_get(arguments, "filter");
    int is_trash = bulk_state(action) == STORE_TRASH;
    int r = image_search_json(filter, ret, e);
    if (r < 0)
        return r;
    if (!json_object_get(filter, "state"))
        ret->state = bulk_state(action);
    if ((ret->state == STORE_TRASH) != is_trash)
        return error_set(e, -EINVAL,
                         is_trash ? "this is about the trash: state has to be trash"
                                  : "this is about live images: state has to be live or large");
    if (is_everything(filter, ret) && !json_is_true(json_object_get(arguments, "all")))
        return error_set(e, -EINVAL, "a filter without any condition means all images: say so by \"all\": true");
    return 0;
}

static int run(struct job *job, enum bulk_action action, const json_t *arguments)
{
    const json_t *ids = json_object_get(arguments, "ids"), *id;
    int64_t numbers[BULK_IDS_MAX];
    struct store_filter filter;
    struct bulk_options options = {.filter = &filter};
    struct error why;
    size_t i;
    json_array_foreach(ids, i, id)
    {
        numbers[i] = json_integer_value(id);
    }
    if (ids) {
        options.ids = numbers;
        options.ids_len = (int)json_array_size(ids);
    } else if (read_filter(arguments, action, &filter, &why) < 0) {
        job_fail(job, &why); /* it was read before */
    }
    return job->failure.code ? job->failure.code : bulk_run(job, action, &options);
}

/* A kind of job for each action. */
#define KIND(word, action)                                                                                             \
    static void init_##word(struct job *job, struct store *store, job_problem_fn *problem, void *arg)                  \
    {                                                                                                                  \
        bulk_init(job, action, store, problem, arg);                                                                   \
    }                                                                                                                  \
    static int run_##word(struct job *job, const json_t *arguments)                                                    \
    {                                                                                                                  \
        return run(job, action, arguments);                                                                            \
    }

KIND(restore, BULK_RESTORE)
KIND(invalidate, BULK_INVALIDATE)
KIND(trash, BULK_TRASH)
KIND(undelete, BULK_UNDELETE)
KIND(purge, BULK_PURGE)

static const struct jobs_kind kinds[] = {
    [BULK_RESTORE] = {"bulk-restore", "bulk", init_restore, run_restore, NULL},
    [BULK_INVALIDATE] = {"bulk-invalidate", "bulk", init_invalidate, run_invalidate, NULL},
    [BULK_TRASH] = {"bulk-trash", "bulk", init_trash, run_trash, NULL},
    [BULK_UNDELETE] = {"bulk-undelete", "bulk", init_undelete, run_undelete, NULL},
    [BULK_PURGE] = {"bulk-purge", "bulk", init_purge, run_purge, NULL},
};

/* The action; -EINVAL, and why. */
static int check(const json_t *arguments, struct error *e)
{
    const char *name = http_argument_text(arguments, "action");
    int action = name ? bulk_action_named(name) : -ENOENT;
    int by_ids = json_object_get(arguments, "ids") != NULL, by_filter = json_object_get(arguments, "filter") != NULL;
    struct store_filter filter;
    if (action < 0)
        return error_set(e, -EINVAL, "\"action\" has to be restore, invalidate, trash, undelete or purge");
    if (by_ids == by_filter)
        return error_set(e, -EINVAL, "name images by \"ids\" or by a \"filter\"");
    int r = by_filter ? read_filter(arguments, (enum bulk_action)action, &filter, e) : 0;
    return r < 0 ? r : action;
}

void route_images_bulk(struct http_transaction *x)
{
    static const struct http_argument known[] = {
        {"action", HTTP_ARGUMENT_TEXT},  {"ids", HTTP_ARGUMENT_IDS},  {"filter", HTTP_ARGUMENT_OBJECT},
        {"dry_run", HTTP_ARGUMENT_FLAG}, {"all", HTTP_ARGUMENT_FLAG}, {NULL, 0},
    };
    struct error why;
    json_t *arguments = http_arguments(x, known);
    if (!arguments)
        return;
    int action = check(arguments, &why);
    if (action >= 0) {
        jobs_start(x->service->jobs, x, &kinds[action], arguments, jobs_wants_later(x));
        return;
    }
    http_answer_error(x, NULL, &why);
    json_decref(arguments);
}
