#include "job/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "job/recount.h"
#include "job/use.h"
#include "store/store_cleanup.h"
#include "store/store_object.h"

#define WAIT_MS  60000 /* for all instances to note uses */
#define START_MS 10000 /* for an instance that has just started */
#define LOOK_US  50000
#define LOOKS_US 1000000 /* later on */
#define DAY_US   INT64_C(86400000000)

static const char *const counters[] = {
    [CLEANUP_TRASHED] = "trashed", [CLEANUP_TRASHED_BYTES] = "trashed_bytes",
    [CLEANUP_PURGED] = "purged",   [CLEANUP_PURGED_BYTES] = "purged_bytes",
    [CLEANUP_OBJECTS] = "objects", NULL,
};

void cleanup_init(struct job *job, struct store *store, job_problem_fn *problem, void *arg)
{
    job_init(job, "cleanup", store, counters, problem, arg);
}

static void add(struct job *job, enum cleanup_counter images, const struct store_tally *tally)
{
    job_count(job, images, tally->images);
    job_count(job, images + 1, tally->bytes); /* the bytes' counter follows the images' */
    atomic_fetch_add(&job->done, tally->images);
    if (tally->images && !job->dry_run)
        atomic_store(&job->eventful, 1);
}

static int remove_objects(struct job *job, struct error *e)
{
    int64_t due = 0;
    int r, removed;
    if (job->dry_run) {
        r = store_objects_due(job->store, &due, e);
        job_count(job, CLEANUP_OBJECTS, due);
        return r;
    }
    do {
        r = store_objects_remove(job->store, &removed, e);
        job_count(job, CLEANUP_OBJECTS, removed);
        if (removed)
            atomic_store(&job->eventful, 1);
    } while (r == 0 && removed && !job_stopped(job));
    return r;
}

static int trash_batches(struct job *job, int64_t limit_us, int64_t unchanged_us, struct error *e)
{
    struct store_tally tally;
    int r;
    do {
        r = store_cleanup_trash(job->store, limit_us, unchanged_us, &tally, e);
        if (r == 0)
            add(job, CLEANUP_TRASHED, &tally);
    } while (r == 0 && tally.images && !job_stopped(job));
    return r;
}

static int refuse(struct error *e, const char *why)
{
    return error_set(e, -EBUSY, "no image is moved into the trash, because its use is not known: %s", why);
}

/* Why uses are not known; empty: they are. An instance that has just started gets some time to note its own. */
static int ask_unknown(struct job *job, char ret[STORE_ERROR_SIZE], struct error *e)
{
    int64_t deadline_ms = clock_monotonic_ms() + START_MS, instances;
    int r;
    for (;;) {
        r = store_uses_unknown(job->store, STORE_USES_WAITED, ret, &instances, e);
        if (r < 0 || *ret)
            return r;
        r = store_uses_unknown(job->store, STORE_USES_NOW, ret, &instances, e);
        if (r < 0 || !*ret || job_stopped(job) || !clock_left_ms(deadline_ms))
            return r;
        usleep(LOOK_US);
    }
}

/* Notes the uses of this host's files, and asks whether other instances have done so. */
static int know_uses(struct job *job, struct error *e)
{
    const struct use_options options = {.deadline_ms = INT64_MAX, .stopped = &job->stopped};
    char unknown[STORE_ERROR_SIZE];
    struct use_noted noted;
    struct error why;
    int r = use_note(job->store, &options, &noted, &why);
    if (r == -ENOTSUP)
        return refuse(e, why.text);
    if (r == 0)
        r = ask_unknown(job, unknown, &why);
    if (r < 0) {
        *e = why;
        return r;
    }
    return *unknown ? refuse(e, unknown) : 0;
}

static int trash_cold(struct job *job, int days, enum cleanup_uses uses, struct error *e)
{
    struct store_tally tally;
    int64_t limit_us;
    int r = uses == CLEANUP_ALL_USES && !job->dry_run ? know_uses(job, e) : 0;
    if (r == 0)
        r = store_cleanup_cold(job->store, days, &limit_us, &tally, e);
    if (r < 0)
        return r;
    if (job->dry_run) {
        add(job, CLEANUP_TRASHED, &tally);
        return 0;
    }
    atomic_fetch_add(&job->expected, tally.images);
    return trash_batches(job, limit_us, STORE_CLEANUP_ANY, e);
}

static int purge_old(struct job *job, struct error *e)
{
    struct store_tally tally;
    int r = store_cleanup_old(job->store, &tally, e);
    if (r < 0)
        return r;
    if (job->dry_run) {
        add(job, CLEANUP_PURGED, &tally);
        return 0;
    }
    atomic_fetch_add(&job->expected, tally.images);
    do {
        r = store_cleanup_purge(job->store, &tally, e);
        if (r == 0)
            add(job, CLEANUP_PURGED, &tally);
    } while (r == 0 && tally.images && !job_stopped(job));
    return r;
}

/* And the rest that is done whatever is used. */
static int empty_trash(struct job *job, struct error *e)
{
    int r = purge_old(job, e);
    if (r == 0)
        r = remove_objects(job, e);
    return r == 0 && !job->dry_run ? recount(job->store, e) : r;
}

int cleanup_run(struct job *job, int days, enum cleanup_uses uses)
{
    struct error why = {0};
    int r = trash_cold(job, days, uses, &why);
    if (r == 0)
        r = empty_trash(job, &why);
    if (r < 0)
        job_fail(job, &why);
    job_record(job);
    return job->failure.code;
}

/* Waits for all running instances to note the uses of their files. *ret: how many have not, after a minute. */
static int wait_for_uses(struct job *job, struct instance *instance, int64_t at_us, int64_t *ret, struct error *e)
{
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    int r;
    instance_wake(instance);
    for (int looks = 0;; looks++) {
        r = store_uses_waiting(job->store, at_us, ret, e);
        if (r == 0 && !*ret && instance && !instance_has_noted(instance, at_us))
            *ret = 1; /* this one has no row yet */
        if (r < 0 || !*ret || job_stopped(job) || !clock_left_ms(deadline_ms))
            return r;
        usleep(looks < LOOKS_US / LOOK_US ? LOOK_US : LOOKS_US);
    }
}

/* Since when uses are known; refused where they are not. */
static int check_uses(struct job *job, int64_t at_us, int64_t *ret_since_us, struct error *e)
{
    char unknown[STORE_ERROR_SIZE];
    int64_t instances;
    int r = store_uses_unknown(job->store, STORE_USES_WAITED, unknown, &instances, e);
    if (r == 0 && !instances)
        (void)snprintf(unknown, sizeof unknown, "no instance of `perdura serve` or `perdura run` notes it");
    if (r == 0)
        r = store_cleaning_check(job->store, at_us, unknown, ret_since_us, e);
    if (r == 0 && !*ret_since_us && store_config(job->store)->cleanup_days)
        r = refuse(e, unknown);
    return r;
}

/* One line for what is going to be trashed, or for how long nothing will be. */
static void announce(struct job *job, int64_t at_us, int64_t since_us)
{
    int days = store_config(job->store)->cleanup_days;
    struct store_cleanup_status status;
    char when[CLOCK_ISO_SIZE];
    if (since_us > at_us - days * DAY_US)
        log_event(LOG_INFO, "cleaning postponed: uses of files not known for long enough", LOG_INT("days", days),
                  LOG_STR("from", clock_iso(when, since_us + days * DAY_US)));
    if (store_cleanup_status(job->store, &status, NULL) == 0 && status.announced)
        log_event(LOG_WARN, "unused images will be moved into the trash", LOG_INT("images", status.announced),
                  LOG_INT("days", days), LOG_STR("from", clock_iso(when, status.announced_from_us)));
}

static int trash_announced(struct job *job, struct instance *instance, struct error *e)
{
    int64_t at_us, waiting = 0, since_us, limit_us, unchanged_us;
    int days = store_config(job->store)->cleanup_days;
    int r = store_cleaning_begin(job->store, &at_us, e);
    if (r == 0)
        r = wait_for_uses(job, instance, at_us, &waiting, e);
    if (r == 0)
        r = check_uses(job, at_us, &since_us, e);
    if (r < 0 || !days || job_stopped(job))
        return r;
    if (waiting) {
        log_event(LOG_WARN, "cleaning skipped today: uses of files not recorded in time",
                  LOG_INT("instances", waiting));
    } else {
        r = store_cleaning_due(job->store, at_us, &limit_us, &unchanged_us, e);
        r = r == -ENOENT ? 0 : r < 0 ? r : trash_batches(job, limit_us, unchanged_us, e);
    }
    if (r == 0)
        announce(job, at_us, since_us);
    return r;
}

int cleanup_daily(struct job *job, struct instance *instance)
{
    struct error why = {0}, refused = {0};
    int r = trash_announced(job, instance, &refused);
    if (!job_stopped(job) && empty_trash(job, &why) < 0)
        job_fail(job, &why);
    if (r < 0)
        job_fail(job, &refused);
    job_record(job);
    return job->failure.code;
}
