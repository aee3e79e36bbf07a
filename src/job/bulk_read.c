#include "job/bulk_read.h"

#include <errno.h>
#include <stdlib.h>

#include "base/workers.h"
#include "client/db_fault.h"
#include "store/read_many.h"

#define QUEUE_BATCHES 8

#define TRANSFERS    8 /* of linked images, at a time */
#define QUEUE_LINKED 64

struct read_batch {
    int count;
    int64_t bytes;
    int64_t ids[READ_MANY_IMAGES];
    void *tags[READ_MANY_IMAGES];          /* NULL once told */
    struct image *named[READ_MANY_IMAGES]; /* without bytes: what a row that can't be read is called */
};

/* An image whose bytes are elsewhere. */
struct linked {
    struct image *image;
    void *tag;
};

struct bulk_read {
    struct job *job;
    const struct bulk_read_ops *ops;
    struct workers *workers;
    struct workers *transfers; /* NULL until one is needed */
    struct read_batch *filling;
    void *bystander; /* what enter() gave the calling thread, for tags that no worker took */
};

static void free_batch(struct read_batch *b)
{
    for (int i = 0; i < b->count; i++)
        image_unref(b->named[i]);
    free(b);
}

static void tell_rest(const struct bulk_read_ops *ops, void *thread, struct read_batch *b, int code, const char *text)
{
    struct error why;
    error_set(&why, code, "%s", text);
    for (int i = 0; i < b->count; i++)
        if (b->tags[i])
            ops->image(thread, b->tags[i], NULL, NULL, &why);
    free_batch(b);
}

static void *take_tag(struct read_batch *b, int64_t id)
{
    for (int i = 0; i < b->count; i++) {
        if (b->ids[i] == id) {
            void *tag = b->tags[i];
            b->tags[i] = NULL;
            return tag;
        }
    }
    return NULL;
}

/* Where the rows of a batch are handed on to. */
struct hand_on {
    const struct bulk_read_ops *ops;
    void *thread;
    struct read_batch *batch;
};

/* Of an image that is linked now and was not when it was listed, whoever asks again finds the object. */
static void hand_on(void *arg, const struct image_meta *meta, struct image *image, const struct error *why)
{
    const struct hand_on *to = arg;
    void *tag = take_tag(to->batch, meta->id);
    if (tag)
        to->ops->image(to->thread, tag, meta, image, why);
}

/* A worker, and what it has asked for. */
struct bulk_reader {
    struct bulk_read *f;
    struct workers *w;
    void *thread;
    struct read_many *reader; /* NULL: we have neither a connection nor the turn for one */
    struct read_batch *asked[READ_MANY_AHEAD];
    int waiting;
    struct read_batch *failed[READ_MANY_AHEAD]; /* to be read row by row, once nothing waits */
    int failures;
};

static int ready_reader(struct bulk_reader *g, struct error *e)
{
    struct job *job = g->f->job;
    int r = g->reader ? 0 : job_acquire(job, e);
    if (r < 0 || g->reader)
        return r;
    r = read_many_open(job->store, JOB_PATIENCE_MS, &g->reader, e);
    if (r < 0)
        job_yield(job);
    return r;
}

static void end_reader(struct bulk_reader *g)
{
    if (!g->reader)
        return;
    read_many_close(g->reader);
    g->reader = NULL;
    job_yield(g->f->job);
}

/* NULL: there is none now; and if nothing is asked for either, none will come. */
static struct read_batch *next_batch(struct bulk_reader *g)
{
    struct read_batch *b = job_contended(g->f->job) ? NULL : workers_take_now(g->w);
    if (b || g->waiting)
        return b;
    end_reader(g);
    return workers_take(g->w);
}

/* Receives the rows of the oldest batch; a failure that one row may have caused sets the batch aside. */
static int receive(struct bulk_reader *g, struct error *e)
{
    struct read_batch *b = g->asked[0];
    struct hand_on to = {g->f->ops, g->thread, b};
    int r = read_many_receive(g->reader, hand_on, &to, e);
    if (r < 0 && !db_fault_splits(r))
        return r;
    g->asked[0] = g->asked[1];
    g->waiting--;
    if (r < 0) {
        g->failed[g->failures++] = b;
        return 0;
    }
    tell_rest(g->f->ops, g->thread, b, -ENOENT, "was deleted meanwhile");
    return 0;
}
_Static_assert(READ_MANY_AHEAD == 2, "receive moves one batch up");

/* One row of a batch that can't be read as a whole. */
static int read_row(struct bulk_reader *g, struct read_batch *b, int i, struct error *e)
{
    struct hand_on to = {g->f->ops, g->thread, b};
    int r = read_many_ask(g->reader, &b->ids[i], 1, e);
    if (r == 0)
        r = read_many_receive(g->reader, hand_on, &to, e);
    if (r < 0 && db_fault_splits(r)) {
        g->f->ops->image(g->thread, take_tag(b, b->ids[i]), &b->named[i]->meta, NULL, e);
        r = 0;
    }
    return r;
}

static int read_failed(struct bulk_reader *g, struct error *e)
{
    int r = 0;
    while (g->failures && r == 0) {
        struct read_batch *b = g->failed[g->failures - 1];
        for (int i = 0; i < b->count && r == 0 && !job_stopped(g->f->job); i++)
            r = read_row(g, b, i, e);
        if (r < 0 || job_stopped(g->f->job))
            break;
        tell_rest(g->f->ops, g->thread, b, -ENOENT, "was deleted meanwhile");
        g->failures--;
    }
    return r;
}

/* Keeps READ_MANY_AHEAD batches asked for. */
static int run_reader(struct bulk_reader *g, struct error *e)
{
    struct read_batch *b;
    int r = 0;
    for (;;) {
        while (g->waiting < READ_MANY_AHEAD && !g->failures && r == 0 && (b = next_batch(g))) {
            g->asked[g->waiting++] = b;
            r = ready_reader(g, e);
            if (r == 0)
                r = read_many_ask(g->reader, b->ids, b->count, e);
        }
        if ((!g->waiting && !g->failures) || r < 0 || job_stopped(g->f->job))
            break;
        r = g->waiting ? receive(g, e) : read_failed(g, e);
        if (r < 0)
            break;
    }
    for (int i = 0; i < g->waiting; i++)
        tell_rest(g->f->ops, g->thread, g->asked[i], -ECANCELED, "was not reached");
    for (int i = 0; i < g->failures; i++)
        tell_rest(g->f->ops, g->thread, g->failed[i], -ECANCELED, "was not reached");
    end_reader(g);
    return r;
}

static void bulk_read_rows(void *arg, struct workers *w)
{
    struct bulk_read *f = arg;
    struct bulk_reader reading = {.f = f, .w = w, .thread = f->ops->enter(f->job)};
    struct error why = {0};
    int r = reading.thread ? run_reader(&reading, &why) : error_set(&why, -ENOMEM, "out of memory");
    if (reading.thread)
        f->ops->leave(reading.thread);
    if (r < 0)
        job_fail(f->job, &why);
    if (job_stopped(f->job)) /* whatever the reason: who waits for room in the queue would wait for ever */
        workers_stop(w);
}

static void bulk_read_linked(void *arg, struct workers *w)
{
    struct bulk_read *f = arg;
    struct error none = {0};
    struct linked *one;
    void *thread = f->ops->enter(f->job);
    if (!thread) {
        error_set(&none, -ENOMEM, "out of memory");
        job_fail(f->job, &none);
        workers_stop(w);
        return;
    }
    while (!job_stopped(f->job) && (one = workers_take(w))) {
        f->ops->image(thread, one->tag, &one->image->meta, one->image, &none);
        image_unref(one->image);
        free(one);
    }
    f->ops->leave(thread);
    if (job_stopped(f->job))
        workers_stop(w);
}

static void drop_linked(void *arg, void *item)
{
    struct bulk_read *f = arg;
    struct linked *one = item;
    struct error why;
    error_set(&why, -ECANCELED, "was not reached");
    f->ops->image(f->bystander, one->tag, NULL, NULL, &why);
    image_unref(one->image);
    free(one);
}

/* -ENOMEM, -EAGAIN. */
static int add_linked(struct bulk_read *f, const struct image_meta *meta, void *tag)
{
    int r =
        f->transfers ? 0 : workers_start(&f->transfers, "job-transfers", TRANSFERS, QUEUE_LINKED, bulk_read_linked, f);
    struct linked *one = r == 0 ? malloc(sizeof *one) : NULL;
    if (!one)
        return r < 0 ? r : -ENOMEM;
    *one = (struct linked){image_new_linked(meta), tag};
    if (!one->image) {
        free(one);
        return -ENOMEM;
    }
    if (job_stopped(f->job) || workers_push(f->transfers, one) < 0)
        drop_linked(f, one);
    return 0;
}

int bulk_read_start(struct bulk_read **ret, struct job *job, int threads, const struct bulk_read_ops *ops,
                    struct error *e)
{
    struct bulk_read *f = calloc(1, sizeof *f);
    if (f)
        f->bystander = ops->enter(job);
    if (!f || !f->bystander) {
        free(f);
        return error_set(e, -ENOMEM, "out of memory");
    }
    f->job = job;
    f->ops = ops;
    int r = workers_start(&f->workers, "job-reads", threads, QUEUE_BATCHES, bulk_read_rows, f);
    if (r < 0) {
        ops->leave(f->bystander);
        free(f);
        return error_set(e, r, "no more threads");
    }
    *ret = f;
    return 0;
}

static void send(struct bulk_read *f)
{
    struct read_batch *b = f->filling;
    f->filling = NULL;
    if (b && (job_stopped(f->job) || workers_push(f->workers, b) < 0))
        tell_rest(f->ops, f->bystander, b, -ECANCELED, "was not reached");
}

/* 0 or -ENOMEM. */
static int add_to_batch(struct bulk_read *f, const struct image_meta *meta, void *tag)
{
    struct read_batch *b = f->filling;
    if (b && (b->count == READ_MANY_IMAGES || b->bytes + meta->size > READ_MANY_BYTES)) {
        send(f);
        b = NULL;
    }
    if (!b)
        b = f->filling = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->named[b->count] = image_new_linked(meta);
    if (!b->named[b->count])
        return -ENOMEM;
    b->ids[b->count] = meta->id;
    b->tags[b->count++] = tag;
    b->bytes += meta->size;
    return 0;
}

void bulk_read_add(struct bulk_read *f, const struct image_meta *meta, void *tag)
{
    struct error why;
    int r = meta->url ? add_linked(f, meta, tag) : add_to_batch(f, meta, tag);
    if (r == 0)
        return;
    error_set(&why, r, "%s", r == -ENOMEM ? "out of memory" : "no more threads");
    f->ops->image(f->bystander, tag, meta, NULL, &why);
}

static void drop_batch(void *arg, void *item)
{
    struct bulk_read *f = arg;
    tell_rest(f->ops, f->bystander, item, -ECANCELED, "was not reached");
}

void bulk_read_finish(struct bulk_read *f)
{
    send(f);
    if (job_stopped(f->job))
        workers_stop(f->workers);
    if (job_stopped(f->job) && f->transfers)
        workers_stop(f->transfers);
    workers_finish(f->workers, drop_batch, f);
    if (f->transfers)
        workers_finish(f->transfers, drop_linked, f);
    f->ops->leave(f->bystander);
    free(f);
}
