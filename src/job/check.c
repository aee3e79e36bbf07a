#include "job/check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "codec/sniff.h"
#include "fs/readfile.h"
#include "job/survey.h"
#include "tier/tier_db.h"
#include "tier/tier_disk.h"

#define PAGE       1000
#define HEAD_BYTES 4096

static const char *const counters[] = {
    [CHECK_COUNT_SAME] = "same",       [CHECK_COUNT_DISK_ONLY] = "disk_only", [CHECK_COUNT_STORE_ONLY] = "store_only",
    [CHECK_COUNT_DIFFERS] = "differs", [CHECK_COUNT_ERRORS] = "errors",       NULL,
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
                      {CHECK_ERROR, CHECK_COUNT_ERRORS}};
    struct image_key key = {c->collection, path};
    for (size_t i = 0; i < sizeof counter_of / sizeof *counter_of; i++)
        if (counter_of[i].mark == mark)
            job_count(c->job, counter_of[i].counter, 1);
    atomic_fetch_add(&c->job->done, 1);
    c->options->mark(c->options->arg, mark, &key, why);
}

static int describe(void *arg, int fd, const struct stat *st, struct error *e)
{
    return image_describe_file(arg, fd, st->st_size, e);
}

static enum check_mark compare_large(struct check *c, const char *path, const struct image_meta *row, struct error *e)
{
    struct image_meta seen = {.key = {c->collection, path}};
    struct readfile file;
    struct stat st;
    int r = readfile_open(&file, c->root, path, SAFEPATH_BENEATH, e);
    if (r < 0)
        return CHECK_ERROR;
    r = readfile_visit(&file, describe, &seen, &st, NULL, e);
    readfile_close(&file);
    if (r < 0)
        return CHECK_ERROR;
    if (memcmp(seen.sha256, row->sha256, sizeof seen.sha256) == 0)
        return CHECK_SAME;
    error_set(e, 0, "has another content than what is stored");
    return CHECK_DIFFERS;
}

static enum check_mark compare(struct check *c, const struct walk_entry *entry, const struct image_meta *row,
                               struct error *e)
{
    struct stat st;
    if (entry->st.st_size != row->size) {
        error_set(e, 0, "has %lld bytes, %lld are stored", (long long)entry->st.st_size, (long long)row->size);
        return CHECK_DIFFERS;
    }
    if (c->options->quick) {
        if (clock_ns(entry->st.st_mtim) == row->mtime_ns)
            return CHECK_SAME;
        error_set(e, 0, "has another modification time than what is stored");
        return CHECK_DIFFERS;
    }
    if (row->size > tier_db_inline_max(store_db(c->job->store)))
        return compare_large(c, entry->path, row, e);
    buf_reset(&c->bytes);
    if (readfile(c->root, entry->path, SAFEPATH_BENEATH, (size_t)row->size, &c->bytes, &st, e) < 0)
        return CHECK_ERROR;
    return image_verify(row, c->bytes.data, c->bytes.len, e) == 0 ? CHECK_SAME : CHECK_DIFFERS;
}

/* Whether a file that is not stored should be: it is an image, or called one. */
static int concerns_us(const struct check *c, const char *path)
{
    unsigned char head[HEAD_BYTES];
    struct readfile file;
    size_t n = 0;
    if (sniff_claimed(path) != SNIFF_NONE)
        return 1;
    if (readfile_open(&file, c->root, path, SAFEPATH_BENEATH, NULL) < 0)
        return 1;
    int read = readfile_head(&file, head, sizeof head, &n, NULL);
    readfile_close(&file);
    return read < 0 || sniff(head, n).kind != SNIFF_NONE;
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
    } else if (!row && concerns_us(c, entry->path)) {
        mark(c, CHECK_DISK_ONLY, entry->path, NULL);
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
            r = store_list_by_path(c->job->store, c->collection, "", after, PAGE, &next, e);
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

int check_run(struct job *job, const struct check_options *options)
{
    struct check c = {.job = job, .options = options};
    struct error why = {0};
    int r = 0;
    buf_init(&c.bytes, (size_t)1 << 30);
    for (size_t i = 0; options->collections[i] && r == 0; i++) {
        c.collection = options->collections[i];
        r = tier_disk_root(store_disk(job->store), c.collection, TIER_DISK_EXISTING, &c.root, &why);
        if (r == 0)
            r = survey(job, c.collection, visit, &c, &why);
        else if (r == -ENOENT)
            r = 0; /* a wiped folder: everything is missing */
        if (r == 0)
            r = find_missing(&c, &why);
    }
    buf_release(&c.bytes);
    if (r < 0)
        job_fail(job, &why);
    return job->failure.code;
}
