#include "job/check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/db_fault.h"
#include "codec/digest.h"
#include "fs/fdio.h"
#include "fs/fserror.h"
#include "fs/readfile.h"
#include "store/folders.h"
#include "watch/classify.h"
#include "watch/folder_diff.h"

#define PAGE        1000
#define PIECE_BYTES (64 << 10)

static const char *const counters[] = {
    [CHECK_COUNT_SAME] = "same",
    [CHECK_COUNT_DISK_ONLY] = "disk_only",
    [CHECK_COUNT_STORE_ONLY] = "store_only",
    [CHECK_COUNT_DIFFERS] = "differs",
    [CHECK_COUNT_ERRORS] = "errors",
    [CHECK_COUNT_NOT_KEPT] = "not_kept",
    NULL,
};

struct check {
    struct job *job;
    const struct check_options *options;
    const char *collection;
    int root;
    struct buf bytes;
};

void check_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg)
{
    job_init(job, "check", store, counters, problem, arg);
    job->dry_run = 1;
}

static void mark(struct check *c, enum check_mark mark, const char *path, const struct error *why)
{
    static const struct {
        enum check_mark mark;
        enum check_counter counter;
    } counter_of[] = {{CHECK_SAME, CHECK_COUNT_SAME},
                      {CHECK_DISK_ONLY, CHECK_COUNT_DISK_ONLY},
                      {CHECK_STORE_ONLY, CHECK_COUNT_STORE_ONLY},
                      {CHECK_DIFFERS, CHECK_COUNT_DIFFERS},
                      {CHECK_NOT_KEPT, CHECK_COUNT_NOT_KEPT},
                      {CHECK_ERROR, CHECK_COUNT_ERRORS}};
    struct image_key key = {c->collection, path};
    for (size_t i = 0; i < sizeof counter_of / sizeof *counter_of; i++)
        if (counter_of[i].mark == mark)
            job_count(c->job, counter_of[i].counter, 1);
    atomic_fetch_add(&c->job->done, 1);
    if (mark == CHECK_ERROR)
        atomic_fetch_add(&c->job->failures, 1);
    c->options->mark(c->options->arg, mark, &key, why);
}

/* *arg is the digest of the file. */
static int sum_up(void *arg, int fd, const struct stat *st, struct error *e)
{
    char piece[PIECE_BYTES];
    struct digest d;
    int r = digest_start(&d, DIGEST_SHA256);
    for (int64_t at = 0; r == 0 && at < st->st_size; at += (int64_t)sizeof piece) {
        size_t n = st->st_size - at < (int64_t)sizeof piece ? (size_t)(st->st_size - at) : sizeof piece;
        r = fdio_read(fd, piece, n, at);
        if (r == 0)
            r = digest_add(&d, piece, n);
    }
    int ended = digest_end(&d, r == 0 ? arg : NULL);
    r = r < 0 ? r : ended;
    return r < 0 ? fserror_set(e, r, "can't be read") : 0;
}

/* Size and time of damaged content are those of the row: nobody has written the file since it was stored. */
static enum check_mark differs(const struct stat *st, const struct image_meta *row, struct error *e)
{
    int64_t mtime_ns = clock_ns(st->st_mtim);
    const char *newer = mtime_ns > row->mtime_ns   ? "the file is newer"
                        : mtime_ns < row->mtime_ns ? "the stored content is newer"
                                                   : "both have the same time";
    if (st->st_size != row->size)
        error_set(e, 0, "has %lld bytes, %lld are stored; %s", (long long)st->st_size, (long long)row->size, newer);
    else if (mtime_ns != row->mtime_ns)
        error_set(e, 0, "has other content than what is stored; %s", newer);
    else
        error_set(e, 0, "is damaged: size and modification time are those of what is stored, and its content is not");
    return CHECK_DIFFERS;
}

static enum check_mark compare(struct check *c, const struct walk_entry *entry, const struct image_meta *row,
                               struct error *e)
{
    unsigned char sha256[DIGEST_SHA256_LEN];
    struct readfile file;
    struct stat st;
    if (c->options->quick && entry->st.st_size == row->size) {
        if (clock_ns(entry->st.st_mtim) == row->mtime_ns)
            return CHECK_SAME;
        error_set(e, 0, "has another modification time than what is stored");
        return CHECK_DIFFERS;
    }
    if (entry->st.st_size != row->size)
        return differs(&entry->st, row, e);
    if (readfile_open(&file, c->root, entry->path, SAFEPATH_BENEATH, e) < 0)
        return CHECK_ERROR;
    int r = readfile_visit(&file, sum_up, sha256, &st, NULL, e);
    readfile_close(&file);
    if (r < 0)
        return CHECK_ERROR;
    return st.st_size == row->size && memcmp(sha256, row->sha256, sizeof sha256) == 0 ? CHECK_SAME
                                                                                      : differs(&st, row, e);
}

/* A file that is not stored. */
static enum check_mark judge(struct check *c, const struct walk_entry *entry, struct error *e)
{
    struct image_meta meta;
    const struct classify_file file = {.key = {c->collection, entry->path},
                                       .root = c->root,
                                       .links = entry->kind == WALK_LINKED_FILE ? SAFEPATH_BENEATH : SAFEPATH_NO_LINKS};
    switch (classify(c->job->store, &file, &c->bytes, &meta, NULL, e)) {
    case CLASSIFY_NOT_KEPT:
        error_set(e, 0, "is not an image, and only images are kept");
        return CHECK_NOT_KEPT;
    case CLASSIFY_FAIL:
        return CHECK_ERROR;
    default:
        return CHECK_DISK_ONLY;
    }
}

static int visit(void *arg, const struct walk_entry *entry, const struct image_meta *row)
{
    struct check *c = arg;
    struct error why = {0};
    if (entry->kind == WALK_LINKED_DIR)
        return 0;
    if (entry->kind == WALK_UNREADABLE) {
        mark(c, CHECK_ERROR, entry->path, &entry->error);
    } else if (entry->kind == WALK_SPECIAL) {
        error_set(&why, -ENXIO, "is not a file");
        mark(c, CHECK_ERROR, entry->path, &why);
    } else if (row && !row->deleted_us) {
        enum check_mark found = compare(c, entry, row, &why);
        mark(c, found, entry->path, found == CHECK_SAME ? NULL : &why);
    } else if (!row) {
        enum check_mark found = judge(c, entry, &why);
        mark(c, found, entry->path, found == CHECK_DISK_ONLY ? NULL : &why);
    }
    return 0;
}

/* A row that the walk may not have come across: its file is not there, or something else is. Links and unreadable
 * folders on the way were told by the walk. */
static void look_for(struct check *c, const struct image_meta *meta)
{
    const char *path = meta->key.path;
    struct error why = {0};
    int r = safepath_check(path, strlen(path), &why);
    if (r < 0) {
        mark(c, CHECK_ERROR, path, &why);
        return;
    }
    r = store_file_matches(c->job->store, meta);
    if (r == -ENOENT) {
        mark(c, CHECK_STORE_ONLY, path, NULL);
    } else if (r == -ENOTDIR) {
        error_set(&why, r, "a file has the name of a folder above it");
        mark(c, CHECK_ERROR, path, &why);
    } else if (r == 0) {
        int fd = safepath_open(c->root, path, O_PATH | O_DIRECTORY, SAFEPATH_BENEATH);
        if (fd < 0)
            return;
        close(fd);
        error_set(&why, -EISDIR, "a folder has its name");
        mark(c, CHECK_ERROR, path, &why);
    }
}

/* The rows whose files are not there. */
static int find_missing(struct check *c, struct error *e)
{
    struct store_page *page = NULL;
    struct image_meta meta, *after = NULL;
    int count;
    do {
        struct store_page *next;
        int64_t deadline_ms = 0;
        int r;
        do
            r = store_list_by_path(c->job->store, c->collection, "", 0, after, PAGE, &next, e);
        while (job_ask_again(c->job, r, &deadline_ms));
        store_page_free(page);
        if (r < 0)
            return r;
        page = next;
        count = store_page_count(page);
        for (int i = 0; i < count; i++) {
            store_page_meta(page, i, &meta);
            look_for(c, &meta);
        }
        after = &meta;
    } while (count == PAGE && !job_stopped(c->job));
    store_page_free(page);
    return 0;
}

static int check_collection(struct check *c, struct error *e)
{
    const struct folder_diff_options options = {.store = c->job->store,
                                                .collection = c->collection,
                                                .stopped = &c->job->stopped,
                                                .patience_ms = c->job->patience_ms};
    int r = store_folder(c->job->store, c->collection, STORE_FOLDER_EXISTING, &c->root, e);
    if (r == 0)
        r = folder_diff(&options, visit, c, e);
    else if (r == -ENOENT)
        r = 0; /* a wiped folder: everything is missing */
    return r < 0 ? r : find_missing(c, e);
}

int check_run(struct job *job, const struct check_options *options)
{
    struct check c = {.job = job, .options = options};
    struct error why = {0};
    int failed = 0;
    buf_init(&c.bytes, (size_t)1 << 30);
    for (size_t i = 0; options->collections[i] && db_fault_state(failed) == DB_STATE_UP; i++) {
        c.collection = options->collections[i];
        int r = check_collection(&c, failed ? NULL : &why); /* one that can't be opened does not hide the others */
        failed = r < 0 && (!failed || db_fault_state(r) != DB_STATE_UP) ? r : failed;
    }
    buf_release(&c.bytes);
    if (failed)
        job_fail(job, &why);
    return job->failure.code;
}
