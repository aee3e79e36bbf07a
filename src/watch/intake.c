/* The threads that take files in. A connection is held only while a batch is under way. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "client/db.h"
#include "client/db_fault.h"
#include "config/config.h"
#include "fs/fserror.h"
#include "store/ingest.h"
#include "watch/classify.h"
#include "watch/watch_internal.h"

#define BATCH_FILES  64
#define TRUST_AGE_NS INT64_C(2000000000)

/* A database that is gone, or a row that is locked, is waited for without holding a batch. Whatever takes long is tried
 * again alone, and while that takes its time, other files are stored. */
static const struct ingest_patience patience = {.connection_ms = 500, .lock_ms = 500, .statement_ms = 5000};
static const struct ingest_patience suspect_patience = {.connection_ms = 500, .lock_ms = 50, .statement_ms = 20000};

struct intake {
    struct watch *w;
    struct watch_folder *folder;
    struct buf bytes;
    struct pending_file *files[BATCH_FILES];
    int count;
    struct classify_file takes[BATCH_FILES];
    struct stat stats[BATCH_FILES];
    struct ingest writes[BATCH_FILES];
    int fresh[BATCH_FILES]; /* once read */
    int uploads;            /* this is an upload thread */
};

/* The file may be anyone's, or gone, after this. */
static void finish(struct intake *in, struct pending_file *f, enum pending_end end, const struct error *why)
{
    char path[SAFEPATH_MAX + 1];
    struct image_key key = {in->folder->collection->name, path};
    if (f->write)
        ingest_end(f->write);
    f->write = NULL;
    if (end == PENDING_FAILED)
        snprintf(path, sizeof path, "%s", f->key.path);
    if (pending_finish(in->w->pending, f, end, why))
        watch_tell_failure(in->w, &key, why);
}

/* A file that could not be taken, for a reason that the file or the folder has. */
static void fail(struct intake *in, struct pending_file *f, const struct error *why)
{
    switch (why->code) {
    case -EBUSY:
    case -ENOMEM:
    case -EMFILE:
    case -ENFILE:
    case -ESTALE:
        finish(in, f, PENDING_RETRY, why);
        break;
    default:
        finish(in, f, PENDING_FAILED, why);
    }
}

static void forget_row(struct pending_file *f)
{
    free(f->row);
    f->row = NULL;
}

/* The database could not be asked at all, or answers no question, because of a lock on the whole table, say: no file's
 * fault. */
static void wait_for_database(struct intake *in, struct pending_file *f, const struct error *why)
{
    enum db_state state = db_fault_state(why->code);
    watch_outage_note(in->w, state == DB_STATE_UP ? DB_STATE_FAILING : state, why);
    finish(in, f, PENDING_RETRY, NULL);
}

/* It is tried again by itself, after growing pauses. */
static void suspect(struct intake *in, struct pending_file *f, const struct error *why)
{
    if (!f->suspect)
        log_event(db_fault_level(why->code), "file not stored yet", LOG_STR("collection", f->key.collection),
                  LOG_STR("path", f->key.path), LOG_STR("error", why->text));
    f->suspect = 1;
    finish(in, f, PENDING_RETRY, why);
}

/* A constraint or a trigger may change while the file stays as it is: the next scan tries again. */
static void refuse(struct intake *in, struct pending_file *f, const struct error *why)
{
    struct error refused = *why;
    if (why->code != DB_BAD_ENCODING)
        refused.code = DB_REFUSED;
    finish(in, f, PENDING_FAILED, &refused);
}

/* Its write failed for a reason that the whole database seems to have. So it was before, and other files were written
 * since: then it is this one's. What is sent alone and takes the connection along waits longer each time. */
static void fail_with_database(struct intake *in, struct pending_file *f, int i, const struct error *why)
{
    enum db_state state = db_fault_state(why->code);
    int64_t writes = watch_outage_writes(in->w);
    int own = f->refused && f->refused_at < writes;
    f->refused++;
    f->refused_at = writes;
    if (own) {
        suspect(in, f, why);
        return;
    }
    if (!f->row && (f->row = malloc(sizeof *f->row)))
        *f->row = in->takes[i].row;
    watch_outage_note(in->w, state, why);
    finish(in, f, PENDING_RETRY, f->alone && state == DB_STATE_UNREACHABLE ? why : NULL);
}

/* Its row is not the base any more: who changed it may have changed the file as well, so both are looked at again. When
 * the row turns out to be that very base, nobody has changed it. */
static void fail_stale(struct intake *in, int i)
{
    struct pending_file *f = in->files[i];
    const struct ingest_base *base = &in->takes[i].row.base;
    struct error why;
    if (f->stale && f->stale_base.id == base->id && f->stale_base.updated_us == base->updated_us) {
        f->stale = 0;
        (void)db_fault_skipped(&why);
        refuse(in, f, &why);
        return;
    }
    f->stale = 1;
    f->stale_base = *base;
    finish(in, f, PENDING_RETRY, NULL);
}

/* A failure that the database has told of file `i`. */
static void fail_stored(struct intake *in, int i, const struct error *why)
{
    struct pending_file *f = in->files[i];
    if (db_fault_state(why->code) != DB_STATE_UP) {
        fail_with_database(in, f, i, why);
        return;
    }
    forget_row(f);
    if (why->code == -ESTALE)
        fail_stale(in, i);
    else if (why->code == -ENOMEM)
        finish(in, f, PENDING_RETRY, why);
    else if (db_fault_retry(why->code) != DB_RETRY_NEVER)
        suspect(in, f, why);
    else
        refuse(in, f, why);
}

/* The outcome of a write. */
static void written(void *arg, struct ingest *write, const struct error *outcome)
{
    struct intake *in = arg;
    int i = (int)(write - in->writes);
    struct pending_file *f = in->files[i];
    if (outcome->code < 0) {
        fail_stored(in, i, outcome);
        return;
    }
    forget_row(f);
    watch_outage_written(in->w);
    finish(in, f, in->fresh[i] ? PENDING_CHECK : PENDING_STORED, NULL);
}

static int look_at(const struct classify_file *file, int flags, struct stat *st)
{
    int fd = safepath_open(file->root, file->key.path, flags, file->links);
    if (fd < 0)
        return fd;
    int r = fstat(fd, st) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* As fail, for what was read after `st` was looked at: what has changed since is judged anew. */
static void fail_read(struct intake *in, struct pending_file *f, const struct classify_file *file,
                      const struct stat *st, struct error *why)
{
    struct stat now;
    if (why->code == -EINVAL && look_at(file, O_PATH, &now) == 0 &&
        (now.st_size != st->st_size || clock_ns(now.st_mtim) != clock_ns(st->st_mtim)))
        error_set(why, -EBUSY, "is being written");
    fail(in, f, why);
}

/* What was stored in haste: is it still what the file holds? */
static void check(struct intake *in, struct pending_file *f, const struct classify_file *file, const struct stat *st)
{
    struct image_meta meta;
    struct error why = {0};
    switch (classify(in->w->store, file, &in->bytes, &meta, NULL, &why)) {
    case CLASSIFY_FAIL:
        fail_read(in, f, file, st, &why);
        break;
    case CLASSIFY_GONE:
        finish(in, f, PENDING_NOTHING, NULL);
        break;
    case CLASSIFY_NOT_KEPT:
        finish(in, f, PENDING_NOT_KEPT, NULL);
        break;
    default: {
        int same = memcmp(meta.sha256, f->sha256, sizeof meta.sha256) == 0;
        finish(in, f, same ? PENDING_NOTHING : PENDING_RETRY, NULL);
    }
    }
}

/* Or a folder on its way is a file or a link now. */
static int is_gone(int code)
{
    return code == -ENOENT || code == -ENOTDIR || code == -ELOOP;
}

/* Its writer will most likely come back to it. */
static int is_being_written(const struct pending_file *f, const struct stat *st)
{
    int empty = S_ISREG(st->st_mode) && st->st_size == 0;
    return (f->unclosed && watch_is_young(st, WATCH_UNCLOSED_MS)) ||
           (empty && !f->urgent && watch_is_young(st, WATCH_EMPTY_MS));
}

/* What a scan found differs from its row, whoever has written it. */
static int is_own_event(struct intake *in, const struct pending_file *f, const struct stat *st)
{
    return !f->found && own_events_take(in->w->expected, &f->key, st->st_size, clock_ns(st->st_mtim));
}

/* Looks at the file itself. 1 when its row is to be asked for; else it is finished. */
static int look(struct intake *in, struct pending_file *f, struct classify_file *ret, struct stat *st)
{
    struct error why;
    *ret = (struct classify_file){.key = f->key, .root = in->folder->root, .links = SAFEPATH_NO_LINKS};
    int r = look_at(ret, O_PATH | O_NOFOLLOW, st);
    if (r < 0 && is_gone(r)) {
        finish(in, f, PENDING_NOTHING, NULL);
        return 0;
    }
    if (r < 0) {
        fserror_set(&why, r, "can't be looked at");
        fail(in, f, &why);
        return 0;
    }
    if (S_ISLNK(st->st_mode)) {
        ret->links = SAFEPATH_BENEATH;
        r = look_at(ret, O_PATH, st);
    }
    if (r == -ENOENT || r == -ENOTDIR) {
        error_set(&why, -ENOENT, "is a link to something that does not exist: remove it, or put its target there");
        fail(in, f, &why);
        return 0;
    }
    int there = r == 0;
    if (!there)
        *st = (struct stat){.st_size = -1}; /* a link that leads out of the folder: reading it says why */
    if (there && (S_ISDIR(st->st_mode) || is_own_event(in, f, st))) {
        finish(in, f, PENDING_NOTHING, NULL);
        return 0;
    }
    if (there && is_being_written(f, st)) {
        error_set(&why, -EBUSY, "is being written");
        finish(in, f, PENDING_RETRY, &why);
        return 0;
    }
    if (f->check) {
        check(in, f, ret, st);
        return 0;
    }
    return 1;
}

/* What came before it is committed first, and the connection is another's meanwhile. */
static int upload(struct intake *in, struct ingest_writer **writer, int i, struct image_meta *meta,
                  char url[IMAGE_URL_SIZE], struct error *e)
{
    if (meta->size <= store_inline_max(in->w->store))
        return 0;
    ingest_writer_close(*writer);
    *writer = NULL;
    int r = classify_upload(&in->writes[i], &in->takes[i], meta, url, &in->w->stopping, e);
    if (r == 0)
        watch_storage_written(in->w);
    return r;
}

/* Object storage that is away holds up large files only: each is tried again, after growing pauses. So is one of which
 * it kept something else than what it was sent; nothing but the log tells that of a storage that is up. */
static void fail_upload(struct intake *in, int i, const struct error *why)
{
    struct pending_file *f = in->files[i];
    if (why->code == -EREMOTEIO)
        watch_tell_failure(in->w, &f->key, why);
    if (why->code == -EHOSTDOWN)
        watch_storage_note(in->w, why);
    if (why->code == -EHOSTDOWN || why->code == -EREMOTEIO)
        finish(in, f, PENDING_RETRY, why);
    else if (why->code == -ECANCELED) /* the end */
        finish(in, f, PENDING_RETRY, NULL);
    else if (db_fault_http(why->code))
        fail_stored(in, i, why);
    else
        fail(in, f, why);
}

/* Limits of a lock on one that was locked before: others need the connection, too. */
static int open_writer(struct intake *in, struct ingest_writer **writer, const struct pending_file *f, struct error *e)
{
    const struct ingest_patience *p = f->suspect ? &suspect_patience : &patience;
    return *writer ? 0 : ingest_writer_open(in->w->store, p, written, in, writer, e);
}

/* What classify wants to be written. */
static void store(struct intake *in, struct ingest_writer **writer, int i, enum classify verdict,
                  struct image_meta *meta)
{
    struct pending_file *f = in->files[i];
    char url[IMAGE_URL_SIZE];
    struct error why = {0};
    if (!ingest_is_current(f->write, meta)) {
        error_set(&why, -EBUSY, "is being written");
        finish(in, f, PENDING_RETRY, &why);
    } else if (verdict == CLASSIFY_WRITE && upload(in, writer, i, meta, url, &why) < 0) {
        fail_upload(in, i, &why);
    } else if (open_writer(in, writer, f, &why) < 0) {
        wait_for_database(in, f, &why);
    } else {
        memcpy(f->sha256, meta->sha256, sizeof f->sha256);
        if (verdict == CLASSIFY_WRITE)
            ingest_put(*writer, f->write, meta, meta->url ? NULL : in->bytes.data);
        else
            ingest_touch(*writer, f->write, meta);
    }
}

/* Reads the file and compares it with its row, which stands in in->takes[i]. same_stat: size and time are the row's. */
static void take(struct intake *in, struct ingest_writer **writer, int i, int same_stat)
{
    struct pending_file *f = in->files[i];
    struct classify_file *file = &in->takes[i];
    const struct stat *st = &in->stats[i];
    struct image_meta meta;
    struct error why = {0};
    /* An old file with its row's size and time needs no reading. A young one may have been written twice in one tick of
     * the clock. */
    if (same_stat && clock_realtime_us() * 1000 - clock_ns(st->st_mtim) > TRUST_AGE_NS) {
        finish(in, f, PENDING_NOTHING, NULL);
        return;
    }
    f->stamp = (struct pending_stamp){st->st_size, clock_ns(st->st_mtim), clock_ns(st->st_ctim),
                                      file->row.base.id ? file->row.mtime_ns : INT64_MIN};
    in->fresh[i] = 0;
    f->write = &in->writes[i];
    ingest_begin(f->write, in->w->store, INGEST_FILE, &f->key, &file->row.base);
    enum classify verdict = classify(in->w->store, file, &in->bytes, &meta, same_stat ? NULL : &in->fresh[i], &why);
    if (verdict == CLASSIFY_WRITE || verdict == CLASSIFY_TOUCH) {
        store(in, writer, i, verdict, &meta);
    } else if (f->row) { /* what was judged by an old row does not count */
        forget_row(f);
        finish(in, f, PENDING_RETRY, NULL);
    } else if (verdict == CLASSIFY_FAIL) {
        fail_read(in, f, file, st, &why);
    } else if (verdict == CLASSIFY_STORE_WINS) {
        finish(in, f, PENDING_OLDER, &why);
    } else {
        finish(in, f, verdict == CLASSIFY_NOT_KEPT ? PENDING_NOT_KEPT : PENDING_NOTHING, NULL);
    }
}

/* Asks for the rows of files `first` to `end` and takes them. A path that the database can't hold fails the question
 * for all: each is asked for alone then. */
static void take_part(struct intake *in, struct ingest_writer **writer, int first, int end)
{
    const char *paths[BATCH_FILES];
    int rows[BATCH_FILES];
    struct store_page *page;
    struct error why = {0};
    for (int i = first; i < end; i++)
        paths[i] = in->files[i]->key.path;
    ingest_writer_close(*writer); /* who holds a connection waits for no other one */
    *writer = NULL;
    int r = store_lookup(in->w->store, in->folder->collection->name, paths + first, end - first, WATCH_LOCK_MS,
                         rows + first, &page, &why);
    if (r < 0 && db_fault_retry(r) == DB_RETRY_NEVER && end - first > 1) {
        for (int i = first; i < end; i++)
            take_part(in, writer, i, i + 1);
        return;
    }
    for (int i = first; i < end && r < 0; i++) {
        if (db_fault_http(r) && db_fault_retry(r) != DB_RETRY_NEVER)
            wait_for_database(in, in->files[i], &why);
        else
            fail_stored(in, i, &why);
    }
    if (r < 0)
        return;
    for (int i = first; i < end; i++) {
        struct image_meta row;
        if (rows[i] >= 0)
            store_page_meta(page, rows[i], &row);
        classify_row(&in->takes[i].row, rows[i] >= 0 ? &row : NULL);
        forget_row(in->files[i]);
        take(in, writer, i, rows[i] >= 0 && classify_unchanged(&in->stats[i], &row));
    }
    store_page_free(page);
}

/* While the database as a whole is the reason, a file is tried with one statement: its row is the one that was seen
 * before, and if it has changed since, nothing is written. */
static void take_known(struct intake *in, struct ingest_writer **writer)
{
    in->takes[0].row = *in->files[0]->row;
    take(in, writer, 0, 0);
}

/* 1: an upload thread looks after it. */
static int hand_over(struct intake *in, struct pending_file *f, const struct stat *st)
{
    struct error why;
    if (in->uploads || !in->w->uploads || st->st_size <= store_inline_max(in->w->store))
        return 0;
    pending_release(in->w->pending, f);
    if (workers_push_now(in->w->uploads, f) < 0) {
        error_set(&why, -EAGAIN, "has to wait for too many uploads");
        finish(in, f, PENDING_RETRY, &why);
    }
    return 1;
}

static void take_batch(struct intake *in, int count)
{
    struct ingest_writer *writer = NULL;
    for (size_t i = 0; i < in->w->folders_len; i++)
        if (strcmp(in->w->folders[i].collection->name, in->files[0]->key.collection) == 0)
            in->folder = &in->w->folders[i];
    in->count = 0;
    for (int i = 0; i < count; i++)
        if (look(in, in->files[i], &in->takes[in->count], &in->stats[in->count]) &&
            !hand_over(in, in->files[i], &in->stats[in->count]))
            in->files[in->count++] = in->files[i];
    if (in->count && in->files[0]->alone && in->files[0]->row)
        take_known(in, &writer);
    else if (in->count)
        take_part(in, &writer, 0, in->count);
    ingest_writer_close(writer);
    watch_outage_settle(in->w);
    if (in->bytes.room > (size_t)1 << 20)
        buf_release(&in->bytes);
}

void *watch_intake_run(void *arg)
{
    struct watch *w = arg;
    struct intake in = {.w = w};
    int n;
    thread_set_name("watch-intake");
    buf_init(&in.bytes, (size_t)store_inline_max(w->store) + 1);
    while ((n = pending_take(w->pending, in.files, BATCH_FILES, w->intake_count)) > 0)
        take_batch(&in, n);
    buf_release(&in.bytes);
    return NULL;
}

void watch_upload_run(void *arg, struct workers *uploads)
{
    struct watch *w = arg;
    struct intake in = {.w = w, .uploads = 1};
    buf_init(&in.bytes, (size_t)store_inline_max(w->store) + 1);
    while ((in.files[0] = workers_take(uploads)))
        take_batch(&in, 1);
    buf_release(&in.bytes);
}
