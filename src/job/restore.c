#include "job/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "fs/readfile.h"
#include "fs/staging.h"
#include "job/bulk_read.h"
#include "job/restore_files.h"
#include "store/folders.h"
#include "store/ingest.h"
#include "store/store_cleanup.h"

#define PAGE 1000

/* What was being written when it was to be restored is looked at again, after pauses that double. */
#define RECHECKS       8
#define LOOKS_FIRST_US 5000

/* A restore under way. */
struct restore {
    struct job *job;
    const struct restore_options *options;
    struct bulk_read *fetch;        /* NULL: a dry run */
    const char *const *collections; /* those of the present pass; may be `one` */
    const char *one[2];             /* a collection by itself */
    int64_t done_most;              /* where the pass ends */
    struct restore_withheld withheld;
    struct error closed; /* why the folder of a collection can't be opened */
};

static const char *const counters[] = {
    [RESTORE_RESTORED] = "restored",
    [RESTORE_PRESENT] = "present",
    [RESTORE_NEWER] = "newer",
    [RESTORE_FAILED] = "failed",
    NULL,
};

void restore_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg)
{
    job_init(job, "restore", store, counters, problem, arg);
}

static int describe(void *arg, int fd, const struct stat *st, struct error *e)
{
    return image_describe_file(arg, fd, st->st_size, e);
}

/* Whether the file has the stored content although its modification time differs. */
static int same_content(int root, const struct image_meta *meta)
{
    struct image_meta seen = {.key = meta->key};
    struct readfile file;
    struct stat st;
    if (readfile_open(&file, root, meta->key.path, SAFEPATH_BENEATH, NULL) < 0)
        return 0;
    int same = file.st.st_size == meta->size && readfile_visit(&file, describe, &seen, &st, NULL, NULL) == 0 &&
               memcmp(seen.sha256, meta->sha256, sizeof seen.sha256) == 0;
    readfile_close(&file);
    return same;
}

/* Whether what is at the path, described by st, is the stored image, or a link within the folder to just that. */
static int is_there(int root, const struct image_meta *meta, const struct stat *st)
{
    struct stat target = *st;
    if (S_ISLNK(st->st_mode)) {
        int fd = safepath_open(root, meta->key.path, O_PATH, SAFEPATH_BENEATH);
        if (fd < 0)
            return 0;
        int r = fstat(fd, &target);
        close(fd);
        if (r < 0)
            return 0;
    }
    return S_ISREG(target.st_mode) && target.st_size == meta->size &&
           (clock_ns(target.st_mtim) == meta->mtime_ns || same_content(root, meta));
}

enum verdict { VERDICT_FETCH, VERDICT_PRESENT, VERDICT_NEWER };

/* The folder of the row's collection; -1: a dry run, and it is not there yet. -errno, and the problem is counted: one
 * that can't be opened is told once, at the end, so that the others are restored all the same. */
static int open_folder(struct restore *o, const struct image_meta *meta, int *ret)
{
    struct error why;
    struct job *job = o->job;
    int r = store_folder(job->store, meta->key.collection, job->dry_run ? STORE_FOLDER_EXISTING : STORE_FOLDER_MAKE,
                         ret, &why);
    if (r == -ENOENT && job->dry_run) {
        *ret = -1;
        return 0;
    }
    if (r < 0) {
        o->closed = why;
        job_count(job, RESTORE_FAILED, 1);
    }
    return r;
}

/* Compares a row with what is on disk. Sets *ret, and *target when it is to be fetched. */
static int judge(int root, const struct restore_options *options, const struct image_meta *meta, enum verdict *ret,
                 struct restore_target *target, struct error *e)
{
    *target = (struct restore_target){0};
    *ret = VERDICT_FETCH;
    int r = safepath_check(meta->key.path, strlen(meta->key.path), e); /* anyone may have written the row */
    if (r < 0 || root < 0)
        return r;
    int fd = safepath_open(root, meta->key.path, O_PATH | O_NOFOLLOW, SAFEPATH_BENEATH);
    if (fd == -ENOENT) {
        *ret = options->only_replace ? VERDICT_PRESENT : VERDICT_FETCH;
        return 0;
    }
    if (fd < 0)
        return error_set(e, fd, "can't be put back: %s",
                         fd == -EXDEV || fd == -ELOOP ? "a link in its path leads out of the folder" : strerror(-fd));
    struct stat *st = &target->seen;
    r = fstat(fd, st) < 0 ? -errno : 0;
    close(fd);
    if (r < 0)
        return error_set(e, r, "can't be looked at: %s", strerror(-r));
    target->replace = 1;
    if (S_ISDIR(st->st_mode))
        return error_set(e, -EISDIR, "can't be put back: a folder has its name");
    if (S_ISREG(st->st_mode) && safepath_confirm(root, meta->key.path) == -ENOENT) {
        *target = (struct restore_target){0};
        *ret = options->only_replace ? VERDICT_PRESENT : VERDICT_FETCH;
        return 0;
    }
    int64_t mtime_ns = clock_ns(st->st_mtim);
    if (is_there(root, meta, st))
        *ret = VERDICT_PRESENT;
    else if (mtime_ns > meta->mtime_ns && !options->force)
        *ret = VERDICT_NEWER;
    return 0;
}

static void restore_into(struct restore *o, int root, const struct image_meta *meta, uint64_t mark)
{
    struct restore_target target, *tag;
    struct error why = {0};
    struct job *job = o->job;
    enum verdict verdict;

    if (judge(root, o->options, meta, &verdict, &target, &why) < 0) {
        job_problem(job, RESTORE_FAILED, &meta->key, &why);
    } else if (verdict == VERDICT_PRESENT) {
        job_count(job, RESTORE_PRESENT, 1);
    } else if (verdict == VERDICT_NEWER) {
        error_set(&why, 0, "is newer on disk than what is stored, and stays; --force replaces it");
        job_differs(job, RESTORE_NEWER, &meta->key, &why);
    } else if (!o->fetch) {
        job_moved(job, RESTORE_RESTORED, meta->size);
    } else if ((tag = malloc(sizeof *tag))) {
        *tag = target;
        tag->mark = mark;
        tag->atime_ns = ingest_copy_atime_ns(meta);
        tag->withheld = &o->withheld;
        bulk_read_add(o->fetch, meta, tag);
    } else {
        error_set(&why, -ENOMEM, "out of memory");
        job_fail(job, &why);
    }
}

static void restore_one(struct restore *o, const struct image_meta *meta, uint64_t mark)
{
    int root;
    if (open_folder(o, meta, &root) == 0)
        restore_into(o, root, meta, mark);
    atomic_fetch_add(&o->job->done, 1);
}

static int next_page(const struct restore *o, const struct image_meta *after, struct store_page **ret, struct error *e)
{
    struct job *job = o->job;
    int64_t deadline_ms = 0;
    int r;
    do
        r = store_list_hottest(job->store, o->collections, after, PAGE, ret, e);
    while (job_ask_again(job, r, &deadline_ms));
    return r;
}

/* What was accessed after until_us, the hottest first. Returns how many that were; *ret_hottest_us is the first one's
 * time. */
static int64_t restore_pass(struct restore *o, int64_t until_us, int64_t *ret_hottest_us, struct error *e)
{
    struct job *job = o->job;
    struct store_page *page = NULL;
    struct image_meta last, *after = NULL;
    int64_t seen = 0;
    int count, more;
    do {
        struct store_page *next;
        uint64_t mark = ingest_mark(job->store);
        int r = next_page(o, after, &next, e);
        store_page_free(page);
        if (r < 0)
            return r;
        page = next;
        count = store_page_count(page);
        more = count == PAGE;
        for (int i = 0; i < count; i++) {
            store_page_meta(page, i, &last);
            if (last.accessed_us <= until_us || job_stopped(job) || atomic_load(&job->done) >= o->done_most) {
                more = 0;
                break;
            }
            if (!seen++)
                *ret_hottest_us = last.accessed_us;
            restore_one(o, &last, mark);
        }
        after = &last;
    } while (more);
    store_page_free(page);
    return seen;
}

/* Everything of o->collections. A row that is touched meanwhile jumps to the front, where a pass no longer looks; but
 * only rows touched since the start do, so the front is looked at again until it has nothing new. */
static int restore_all(struct restore *o, struct error *e)
{
    int64_t until_us = INT64_MIN, seen;
    do
        seen = restore_pass(o, until_us, &until_us, e);
    while (seen > 0 && !job_stopped(o->job));
    return seen < 0 ? (int)seen : 0;
}

/* Out of the trash, a page; *mark is taken behind this change. */
static int untrash(struct restore *o, struct store_page *page, uint64_t *mark, struct error *e)
{
    struct job *job = o->job;
    int64_t ids[PAGE], count, deadline_ms = 0;
    struct image_meta meta;
    int r = 0;
    for (int i = 0; i < store_page_count(page); i++) {
        store_page_meta(page, i, &meta);
        ids[i] = meta.id;
    }
    if (!job->dry_run)
        do
            r = store_untrash_cleaned(job->store, ids, store_page_count(page), &count, e);
        while (job_ask_again(job, r, &deadline_ms));
    for (int i = 0; r == 0 && !job->dry_run && i < store_page_count(page); i++) {
        store_page_meta(page, i, &meta);
        (void)store_forget(job->store, &meta.key);
    }
    *mark = ingest_mark(job->store);
    return r;
}

static int restore_cleaned_up(struct restore *o, struct error *e)
{
    struct job *job = o->job;
    int64_t after = 0, deadline_ms = 0;
    int count;
    do {
        struct store_page *page;
        struct image_meta meta;
        uint64_t mark;
        int r;
        do
            r = store_list_cleaned(job->store, o->options->collections, after, PAGE, &page, e);
        while (job_ask_again(job, r, &deadline_ms));
        if (r < 0)
            return r;
        r = untrash(o, page, &mark, e);
        count = store_page_count(page);
        for (int i = 0; r == 0 && i < count && !job_stopped(job); i++) {
            store_page_meta(page, i, &meta);
            after = meta.id;
            restore_one(o, &meta, mark);
        }
        store_page_free(page);
        if (r < 0)
            return r;
    } while (count == PAGE && !job_stopped(job));
    return 0;
}

static int restore_collections(struct restore *o, struct error *e)
{
    const struct restore_options *options = o->options;
    int r = 0;
    o->collections = options->collections;
    o->done_most = INT64_MAX;
    if (!options->places)
        return restore_all(o, e);
    for (size_t i = 0; r == 0 && options->collections[i] && !job_stopped(o->job); i++) {
        o->one[0] = options->collections[i];
        o->collections = o->one;
        o->done_most = atomic_load(&o->job->done) + options->places[i];
        r = options->places[i] ? restore_all(o, e) : 0;
    }
    return r;
}

/* What killed runs left goes even where no file is missing. */
static void sweep(struct job *job, const char *const *collections)
{
    int root;
    for (size_t i = 0; collections[i]; i++)
        if (store_folder(job->store, collections[i], STORE_FOLDER_EXISTING, &root, NULL) == 0)
            (void)staging_sweep(root);
}

/* Asks for the row until there is an answer. 0; or -errno, and the problem is told. */
static int find_row(struct job *job, const struct image_key *key, struct store_page **ret)
{
    struct error why;
    int64_t deadline_ms = 0;
    int r = safepath_check(key->path, strlen(key->path), &why);
    if (r == 0) {
        do
            r = store_info(job->store, key, ret, &why);
        while (job_ask_again(job, r, &deadline_ms));
    }
    if (r < 0)
        job_problem(job, RESTORE_FAILED, key, &why);
    if (r < 0 && r != -ENOENT && r != -EINVAL && r != -ENAMETOOLONG && r != -EILSEQ)
        job_fail(job, &why);
    return r;
}

static void restore_key(struct restore *o, const struct image_key *key)
{
    struct job *job = o->job;
    struct store_page *page;
    struct image_meta meta;
    struct error why;
    uint64_t mark = ingest_mark(job->store);
    int r = find_row(job, key, &page);
    if (r < 0)
        return;
    store_page_meta(page, 0, &meta);
    if (meta.deleted_us && !job->dry_run) {
        r = store_undelete(job->store, key, &why);
        mark = ingest_mark(job->store); /* behind this change */
    }
    if (r == 0)
        restore_one(o, &meta, mark);
    else
        job_problem(job, RESTORE_FAILED, key, &why);
    store_page_free(page);
}

/* What was deleted meanwhile stays so. */
static void restore_again(struct restore *o, const struct image_key *key)
{
    struct store_page *page;
    struct image_meta meta;
    uint64_t mark = ingest_mark(o->job->store);
    atomic_fetch_sub(&o->job->done, 1);
    if (find_row(o->job, key, &page) < 0)
        return;
    store_page_meta(page, 0, &meta);
    if (meta.deleted_us)
        job_count(o->job, RESTORE_NEWER, 1);
    else
        restore_one(o, &meta, mark);
    store_page_free(page);
}

static int start_fetch(struct restore *o, struct error *e)
{
    return o->job->dry_run
               ? 0
               : bulk_read_start(&o->fetch, o->job, job_threads(o->job, o->options->threads), &restore_files_ops, e);
}

static void finish_fetch(struct restore *o)
{
    if (o->fetch)
        bulk_read_finish(o->fetch);
    o->fetch = NULL;
}

/* Once more for what was withheld. */
static int look_again(struct restore *o, struct error *e)
{
    struct restore_key *one = o->withheld.keys, *next;
    o->withheld.keys = NULL;
    o->withheld.count = 0;
    int r = start_fetch(o, e);
    for (; one; one = next) {
        const struct image_key key = {one->collection, one->path};
        if (r == 0 && !job_stopped(o->job))
            restore_again(o, &key);
        next = one->next;
        free(one->path);
        free(one);
    }
    finish_fetch(o);
    return r;
}

static int settle_withheld(struct restore *o, struct error *e)
{
    int r = 0;
    for (int look = 0; r == 0 && look < RECHECKS && o->withheld.count && !job_stopped(o->job); look++) {
        usleep(LOOKS_FIRST_US << look);
        r = look_again(o, e);
    }
    job_count(o->job, RESTORE_NEWER, o->withheld.count); /* they are written all the time */
    for (struct restore_key *one = o->withheld.keys, *next; one; one = next) {
        next = one->next;
        free(one->path);
        free(one);
    }
    return r;
}

/* r, and why when it is below 0: how the first pass went. */
static void finish(struct restore *o, int r, struct error *why)
{
    if (r < 0)
        job_fail(o->job, why); /* those who fetch stop, too */
    finish_fetch(o);
    if (settle_withheld(o, why) < 0)
        job_fail(o->job, why);
    if (o->closed.code)
        job_fail(o->job, &o->closed);
}

int restore_run(struct job *job, const struct restore_options *options)
{
    struct restore o = {.job = job, .options = options, .withheld.lock = LOCK_INIT(restore)};
    struct error why = {0};
    if (!job->dry_run && !options->keys)
        sweep(job, options->collections);
    int r = start_fetch(&o, &why);
    for (int i = 0; r == 0 && options->keys && i < options->keys_len && !job_stopped(job); i++)
        restore_key(&o, &options->keys[i]);
    if (r == 0 && options->cleaned_up)
        r = restore_cleaned_up(&o, &why);
    else if (r == 0 && !options->keys)
        r = restore_collections(&o, &why);
    finish(&o, r, &why);
    if (job_counted(job, RESTORE_RESTORED) && !job->dry_run)
        store_folders_sync(job->store);
    job_record(job);
    return job->failure.code;
}

static int run_rows(struct job *job, const struct restore_options *options, const struct image_meta *rows, int count,
                    uint64_t mark)
{
    struct restore o = {.job = job, .options = options, .withheld.lock = LOCK_INIT(restore)};
    struct error why = {0};
    int r = start_fetch(&o, &why);
    for (int i = 0; r == 0 && i < count && !job_stopped(job); i++)
        restore_one(&o, &rows[i], mark);
    finish(&o, r, &why);
    return job->failure.code;
}

int restore_replace(struct job *job, const struct image_meta *rows, int count, uint64_t mark)
{
    return run_rows(job, &(struct restore_options){.only_replace = 1, .threads = 1}, rows, count, mark);
}

int restore_rows(struct job *job, const struct image_meta *rows, int count, uint64_t mark)
{
    return run_rows(job, &(struct restore_options){0}, rows, count, mark);
}
