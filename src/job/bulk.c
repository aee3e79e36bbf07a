#include "job/bulk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/db.h"
#include "job/restore.h"
#include "store/folders.h"
#include "store/ingest.h"
#include "store/store_row.h"

#define PAGE 1000

_Static_assert(PAGE <= STORE_ROWS_MAX && BULK_IDS_MAX <= PAGE, "a page is purged at once");

/* Of all actions but restore, whose own counters come first. */
enum { DONE, SKIPPED, FAILED, MATCHED, RESTORE_MATCHED = RESTORE_FAILED + 1 };

static const struct {
    const char *name, *kind;
    const char *const counters[6];
} actions[] = {
    [BULK_RESTORE] = {"restore", "bulk-restore", {"restored", "present", "newer", "failed", "matched", NULL}},
    [BULK_INVALIDATE] = {"invalidate", "bulk-invalidate", {"invalidated", "skipped", "failed", "matched", NULL}},
    [BULK_TRASH] = {"trash", "bulk-trash", {"trashed", "skipped", "failed", "matched", NULL}},
    [BULK_UNDELETE] = {"undelete", "bulk-undelete", {"undeleted", "skipped", "failed", "matched", NULL}},
    [BULK_PURGE] = {"purge", "bulk-purge", {"purged", "skipped", "failed", "matched", NULL}},
};

int bulk_action_named(const char *name)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0)
            return (int)i;
    return -ENOENT;
}

enum store_state bulk_state(enum bulk_action action)
{
    return action == BULK_UNDELETE || action == BULK_PURGE ? STORE_TRASH : STORE_LIVE;
}

void bulk_init(struct job *job, enum bulk_action action, struct store *store, job_problem_fn *problem, void *arg)
{
    job_init(job, actions[action].kind, store, actions[action].counters, problem, arg);
}

/* What became of one image. */
static void settle(struct job *job, int r, const struct image_meta *row, const struct error *why)
{
    if (r == 0)
        job_moved(job, DONE, row->size);
    else if (r == -ENOENT)
        job_count(job, SKIPPED, 1);
    else if (db_unavailable(r))
        job_fail(job, why);
    else
        job_problem(job, FAILED, &row->key, why);
}

static int trash(struct store *store, const struct image_key *key, struct error *e)
{
    return store_delete(store, key, STORE_DELETE_SAFE, e);
}

static void change_each(struct job *job, enum bulk_action action, const struct image_meta *rows, int count)
{
    for (int i = 0; i < count && !job_stopped(job); i++) {
        struct error why;
        int64_t deadline_ms = 0;
        int r;
        do
            r = action == BULK_TRASH ? trash(job->store, &rows[i].key, &why)
                                     : store_undelete(job->store, &rows[i].key, &why);
        while (job_ask_again(job, r, &deadline_ms));
        settle(job, r, &rows[i], &why);
        atomic_fetch_add(&job->done, 1);
    }
}

static void purge(struct job *job, const struct image_meta *rows, int count)
{
    struct error why;
    int64_t deadline_ms = 0;
    int64_t ids[PAGE];
    int r, purged = 0;
    for (int i = 0; i < count; i++)
        ids[i] = rows[i].id;
    do
        r = store_purge(job->store, ids, count, &purged, &why);
    while (job_ask_again(job, r, &deadline_ms));
    if (r < 0) {
        job_fail(job, &why);
        return;
    }
    job_count(job, DONE, purged);
    job_count(job, SKIPPED, count - purged);
    atomic_fetch_add(&job->done, count);
}

/* Here at once, and elsewhere by way of the database. */
static void invalidate(struct job *job, const struct image_meta *rows, int count)
{
    struct error why;
    int64_t deadline_ms = 0;
    int r;
    do
        r = store_invalidate_images(job->store, rows, count, &why);
    while (job_ask_again(job, r, &deadline_ms));
    if (r < 0) {
        job_fail(job, &why);
        return;
    }
    for (int i = 0; i < count; i++)
        (void)store_forget(job->store, &rows[i].key);
    job_count(job, DONE, count);
    atomic_fetch_add(&job->done, count);
}

static void act(struct job *job, enum bulk_action action, const struct image_meta *rows, int count, uint64_t mark)
{
    int counts_itself = action == BULK_RESTORE;
    job_count(job, counts_itself ? RESTORE_MATCHED : MATCHED, count);
    if (counts_itself) {
        (void)!restore_rows(job, rows, count, mark);
    } else if (job->dry_run) {
        job_count(job, DONE, count);
        atomic_fetch_add(&job->done, count);
    } else if (action == BULK_INVALIDATE) {
        invalidate(job, rows, count);
    } else if (action == BULK_PURGE) {
        purge(job, rows, count);
    } else {
        change_each(job, action, rows, count);
    }
}

/* Those of the page's first `count` rows that the action is about. */
static void act_on_page(struct job *job, enum bulk_action action, const struct store_page *page, int count,
                        uint64_t mark)
{
    struct image_meta *rows = calloc((size_t)count + 1, sizeof *rows);
    struct error why;
    int n = 0;
    for (int i = 0; rows && i < count; i++) {
        store_page_meta(page, i, &rows[n]);
        n += (rows[n].deleted_us != 0) == (bulk_state(action) == STORE_TRASH);
    }
    if (!rows) {
        error_set(&why, -ENOMEM, "out of memory");
        job_fail(job, &why);
    } else if (n) {
        act(job, action, rows, n, mark);
    }
    free(rows);
}

static int run_ids(struct job *job, enum bulk_action action, const struct bulk_options *options, struct error *e)
{
    struct store_page *page;
    int64_t deadline_ms = 0;
    int r;
    uint64_t mark = ingest_mark(job->store);
    atomic_store(&job->expected, options->ids_len);
    do
        r = store_rows(job->store, options->ids, options->ids_len, &page, e);
    while (job_ask_again(job, r, &deadline_ms));
    if (r < 0)
        return r;
    act_on_page(job, action, page, store_page_count(page), mark);
    store_page_free(page);
    return 0;
}

/* The newest first: what comes meanwhile is not looked at, and what is done changes no order. */
static int run_filter(struct job *job, enum bulk_action action, const struct store_filter *filter, struct error *e)
{
    struct image_meta after = {0};
    struct store_found found;
    int r;
    do {
        int64_t deadline_ms = 0;
        uint64_t mark = ingest_mark(job->store);
        do
            r = store_search(job->store, filter, STORE_ORDER_NEWEST, after.id ? &after : NULL, PAGE, &found, e);
        while (job_ask_again(job, r, &deadline_ms));
        if (r < 0)
            return r;
        after.id = found.more ? found.last.id : 0;
        act_on_page(job, action, found.page, found.count, mark);
        store_page_free(found.page);
    } while (after.id && !job_stopped(job));
    return 0;
}

int bulk_run(struct job *job, enum bulk_action action, const struct bulk_options *options)
{
    struct error why = {0};
    int64_t total;
    if (!options->ids && store_filter_is_open(options->filter) &&
        store_total(job->store, options->filter, &total, NULL) == 0)
        atomic_store(&job->expected, total);
    int r = options->ids ? run_ids(job, action, options, &why) : run_filter(job, action, options->filter, &why);
    if (r < 0)
        job_fail(job, &why);
    if (action == BULK_RESTORE && job_counted(job, RESTORE_RESTORED) && !job->dry_run)
        store_folders_sync(job->store);
    job_record(job);
    return job->failure.code;
}
