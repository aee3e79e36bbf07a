#include "job/sync.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/metric.h"
#include "base/thread.h"
#include "client/db.h"
#include "config/s3_settings.h"
#include "job/sync_internal.h"

#define THREADS       4
#define PASSES        5     /* over what could not be moved though the storage is there */
#define DOWN_AFTER    3     /* attempts in a row without success: the bucket is left alone for the rest of the pass */
#define RENEW_MS      10000 /* well within UPLOADS_LEASE_S */
#define OTHERS_MS     1000  /* how often those that others have claimed are looked at */
#define AGAIN_FIRST_S 60    /* after a first failure, and twice as long after each further one */
#define AGAIN_MAX_S   3600

static const char *const counters[] = {
    [SYNC_SYNCED] = "synced", [SYNC_PRESENT] = "present", [SYNC_WAITING] = "waiting", [SYNC_FAILED] = "failed", NULL,
};

struct bucket {
    const struct image_origin *origin;
    int misses; /* in a row */
};

struct sync_round {
    struct job *job;
    const struct sync_options *options;
    struct s3 *s3;
    struct uploads_claimant claimant;
    char name[64];
    int64_t since_us;
    struct thread renewer; /* its lock is over what follows, and held while `told` runs */
    int begun;             /* the database was asked, and there are buckets: worth counting as a job */
    int buckets_len;
    struct bucket buckets[UPLOADS_COLLECTIONS];
    int moved, missed; /* in this pass */
};

void sync_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg)
{
    job_init(job, "sync", store, counters, problem, arg);
}

/* The round's name, which no other has. */
static void name_round(struct sync_round *r)
{
    char host[32] = "";
    unsigned long long random = 0;
    (void)gethostname(host, sizeof host - 1);
    (void)!getrandom(&random, sizeof random, 0);
    (void)snprintf(r->name, sizeof r->name, "%s/%ld/%016llx", host, (long)getpid(), random);
    r->claimant.name = r->name;
}

static void find_buckets(struct sync_round *r, const struct config *config)
{
    for (size_t i = 0; i < config->image_origins_len && r->buckets_len < UPLOADS_COLLECTIONS; i++)
        if (config->image_origins[i].kind == IMAGE_ORIGIN_S3)
            r->buckets[r->buckets_len++].origin = &config->image_origins[i];
}

static struct bucket *bucket_of(struct sync_round *r, const char *collection)
{
    for (int i = 0; i < r->buckets_len; i++)
        if (strcmp(r->buckets[i].origin->collection, collection) == 0)
            return &r->buckets[i];
    return NULL;
}

/* The collections whose buckets are there, as far as is known. */
static void choose_collections(struct sync_round *r, struct uploads_claimant *c)
{
    lock_take(&r->renewer.lock);
    *c = r->claimant;
    c->collections_len = 0;
    for (int i = 0; i < r->buckets_len; i++)
        if (r->buckets[i].misses < DOWN_AFTER)
            c->collections[c->collections_len++] = r->buckets[i].origin->collection;
    lock_give(&r->renewer.lock);
}

static int64_t again_s(int64_t attempts)
{
    int64_t s = AGAIN_FIRST_S;
    while (--attempts > 0 && s < AGAIN_MAX_S)
        s *= 2;
    return s < AGAIN_MAX_S ? s : AGAIN_MAX_S;
}

static void note_moved(struct sync_round *r, const struct upload *u)
{
    lock_take(&r->renewer.lock);
    r->moved++;
    bucket_of(r, u->collection)->misses = 0;
    if (r->options->told)
        r->options->told(r->options->arg, u);
    lock_give(&r->renewer.lock);
}

static void note_missed(struct sync_round *r, const struct upload *u)
{
    lock_take(&r->renewer.lock);
    r->missed++;
    bucket_of(r, u->collection)->misses++;
    lock_give(&r->renewer.lock);
}

/* Puts a question that may be put twice until the database has answered it, within the job's patience. */
static int insist(struct sync_round *r, const struct upload *u, enum uploads_state state, const struct error *why,
                  struct error *e)
{
    int64_t deadline_ms = 0;
    int code;
    do {
        code = !why ? uploads_done(&r->claimant, u, e)
                    : uploads_undone(&r->claimant, u, state, why->text,
                                     state == UPLOADS_FAILED ? again_s(u->attempts) : 0, e);
    } while (code < 0 && job_ask_again(r->job, code, &deadline_ms));
    return code;
}

static int complete(struct sync_round *r, const struct upload *u, int present, struct error *e)
{
    int code = insist(r, u, UPLOADS_PENDING, NULL, e);
    if (code < 0)
        return code;
    job_moved(r->job, SYNC_SYNCED, present ? 0 : u->size);
    job_count(r->job, SYNC_PRESENT, present);
    metric_inc(METRIC_uploads_synced);
    note_moved(r, u);
    return 0;
}

/* Nothing is wrong with the upload: the storage is not there, or is none at present. */
static int is_out_of_reach(int code)
{
    return code == -ENOTCONN || code == -ETIMEDOUT || code == -ECONNRESET || code == -ENODATA || code == -EPROTO ||
           code == -EBADE;
}

static int give_up(struct sync_round *r, const struct upload *u, const struct error *why, struct error *e)
{
    int waits = is_out_of_reach(why->code);
    metric_inc(METRIC_upload_failures);
    int code = insist(r, u, waits ? UPLOADS_PENDING : UPLOADS_FAILED, why, e);
    if (code < 0)
        return code;
    const struct image_key key = {.collection = u->collection, .path = u->name};
    if (waits) {
        note_missed(r, u);
        job_tell(r->job, &key, why);
    } else {
        job_problem(r->job, SYNC_FAILED, &key, why);
    }
    return 0;
}

/* Moves one upload that was claimed. What is returned ends the round. */
static int handle(struct sync_round *r, struct sync_move *move, const struct upload *u, struct error *e)
{
    struct error why = {0};
    int code = sync_move(move, u, bucket_of(r, u->collection)->origin, &why);
    atomic_fetch_add(&r->job->done, 1);
    if (code >= 0)
        return complete(r, u, code, e);
    if (code == -ECANCELED || (db_unavailable(code) && move->reading.code)) {
        *e = why;
        return code;
    }
    if (move->reading.code == -ENOENT) /* somebody else has completed it, after our claim had run out */
        return 0;
    return give_up(r, u, &why, e);
}

static int claim(struct sync_round *r, struct upload *ret, struct error *e)
{
    struct uploads_claimant claimant;
    int64_t deadline_ms = 0;
    int code;
    choose_collections(r, &claimant);
    if (!claimant.collections_len || job_stopped(r->job))
        return -ENOENT;
    do {
        code = uploads_claim(&claimant, r->since_us, ret, e);
    } while (code < 0 && code != -ENOENT && job_ask_again(r->job, code, &deadline_ms));
    return code;
}

static void *sync_move_run(void *arg)
{
    struct sync_round *r = arg;
    struct sync_move move;
    struct upload upload;
    struct error why;
    int code;
    thread_set_name("sync");
    sync_move_init(&move, r->job->store, r->s3, &r->job->stopped);
    while ((code = claim(r, &upload, &why)) == 0 && (code = handle(r, &move, &upload, &why)) == 0)
        ;
    sync_move_release(&move);
    if (code != -ENOENT)
        job_fail(r->job, &why);
    return NULL;
}

static void pass(struct sync_round *r)
{
    pthread_t threads[THREADS];
    int started = 0;
    struct error why;
    r->moved = r->missed = 0;
    for (int i = 0; i < r->buckets_len; i++)
        r->buckets[i].misses = 0;
    if (uploads_now(r->job->store, &r->since_us, &why) < 0) {
        job_fail(r->job, &why);
        return;
    }
    while (started < THREADS && pthread_create(&threads[started], NULL, sync_move_run, r) == 0)
        started++;
    if (!started)
        (void)sync_move_run(r);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

/* What others have claimed is theirs, unless they are dead: then it is free again before long. Waits for either.
 * Returns whether to look again. */
static int wait_for_others(struct sync_round *r, int64_t deadline_ms)
{
    int64_t others = 0;
    struct uploads_claimant claimant;
    choose_collections(r, &claimant);
    if (job_stopped(r->job) || !claimant.collections_len || !clock_left_ms(deadline_ms) ||
        uploads_claimed_by_others(&claimant, &others, NULL) < 0 || !others)
        return 0;
    int64_t until_ms = clock_monotonic_ms() + OTHERS_MS;
    lock_take(&r->renewer.lock);
    while (!job_stopped(r->job) && !thread_wait_change(&r->renewer, until_ms))
        continue;
    lock_give(&r->renewer.lock);
    return !job_stopped(r->job);
}

static void move_all(struct sync_round *r)
{
    int64_t deadline_ms = clock_monotonic_ms() + (UPLOADS_LEASE_S + 5) * INT64_C(1000);
    do {
        int passes = 0;
        do {
            pass(r);
        } while (!job_stopped(r->job) && r->missed && r->moved && ++passes < PASSES);
    } while (wait_for_others(r, deadline_ms));
}

static void sync_renew_run(void *arg)
{
    struct sync_round *r = arg;
    while (thread_wait(&r->renewer, clock_monotonic_ms() + RENEW_MS))
        (void)!uploads_renew(&r->claimant, NULL);
}

static int run_round(struct sync_round *r, struct error *e)
{
    int code = thread_start(&r->renewer, "sync-lease", sync_renew_run, r);
    if (code < 0)
        return error_set(e, code, "no thread: %s", strerror(-code));
    move_all(r);
    (void)!thread_stop(&r->renewer, THREAD_NEVER);
    if (job_stopped(r->job)) /* else nothing is held any more */
        (void)!uploads_release(&r->claimant, NULL);
    return 0;
}

int sync_check_settings(const struct config *config, struct error *e)
{
    const char *missing = s3_settings_missing(config);
    return missing ? error_set(e, -EINVAL, "uploads can't be moved to their buckets: set %s", missing) : 0;
}

static int open_storage(const struct config *config, struct s3 **ret, struct error *e)
{
    int r = sync_check_settings(config, e);
    return r < 0 ? r : s3_open(ret, config, e);
}

/* How many uploads of our collections are not in their buckets. */
static int count(struct sync_round *r, struct uploads_count *ret, struct error *e)
{
    struct uploads_counts counts;
    int code = uploads_counts(r->job->store, &counts, e);
    *ret = (struct uploads_count){0};
    for (int i = 0; code == 0 && i < r->buckets_len; i++) {
        struct uploads_count one = uploads_count_of(&counts, r->buckets[i].origin->collection);
        ret->pending += one.pending;
        ret->failed += one.failed;
        ret->bytes += one.bytes;
    }
    return code;
}

static int run_counted(struct sync_round *r, struct error *e)
{
    struct uploads_count before = {0}, after = {0};
    if (!r->buckets_len)
        return 0;
    int code = count(r, &before, e);
    r->begun = code == 0;
    if (code < 0 || before.pending + before.failed == 0)
        return code;
    atomic_store(&r->job->expected, before.pending + before.failed);
    if (r->job->dry_run) {
        job_count(r->job, SYNC_SYNCED, before.pending + before.failed);
        atomic_fetch_add(&r->job->bytes, before.bytes);
        return 0;
    }
    code = open_storage(store_config(r->job->store), &r->s3, e);
    if (code == 0)
        code = run_round(r, e);
    s3_close(r->s3);
    if (code == 0 && !job_stopped(r->job))
        code = count(r, &after, e);
    if (code == 0 && !job_stopped(r->job))
        job_count(r->job, SYNC_WAITING, after.pending);
    return code;
}

int sync_run(struct job *job, const struct sync_options *options)
{
    struct error why = {0};
    struct sync_round r = {.job = job, .options = options};
    r.claimant = (struct uploads_claimant){.store = job->store, .even_if_not_due = options->even_if_not_due};
    name_round(&r);
    find_buckets(&r, store_config(job->store));
    thread_init(&r.renewer, LOCK_sync_round);
    if (run_counted(&r, &why) < 0)
        job_fail(job, &why);
    thread_destroy(&r.renewer);
    if (r.begun)
        job_record(job);
    return job->failure.code;
}

const char *sync_summary(char ret[SYNC_SUMMARY_SIZE], struct job *job)
{
    long long synced = job_counted(job, SYNC_SYNCED), waiting = job_counted(job, SYNC_WAITING),
              failed = job_counted(job, SYNC_FAILED);
    if (job->dry_run)
        (void)snprintf(ret, SYNC_SUMMARY_SIZE, "would sync %lld uploads (%lld bytes)", synced,
                       (long long)atomic_load(&job->bytes));
    else if (!synced && !waiting && !failed)
        (void)snprintf(ret, SYNC_SUMMARY_SIZE, "nothing to sync");
    else
        (void)snprintf(ret, SYNC_SUMMARY_SIZE,
                       "synced %lld uploads (%lld bytes), %lld wait for their buckets, %lld failed", synced,
                       (long long)atomic_load(&job->bytes), waiting, failed);
    return ret;
}
