#include "cli/prepare.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "client/db.h"
#include "client/db_fault.h"
#include "config/config.h"
#include "job/recount.h"
#include "job/restore.h"
#include "migrate/migrate.h"

#define PAUSE_FIRST_MS   200
#define PAUSE_LONGEST_MS 5000
/* Behind an open transaction that holds a lock, files are restored before the migration, which they do not depend on.
 */
#define POSTPONED_MS 5000

struct prepare {
    struct store *store;
    unsigned what;
    struct startup_log *log;
    const char **collections; /* all, ended by NULL */
    int changed;              /* eventfd: the stage is another one */
    struct thread thread;     /* its lock is over what follows */
    enum prepare_stage stage;
    int go;
    struct job *job; /* the one under way */
    int unreachable; /* only the thread's: it was told */
};

static void set_stage(struct prepare *p, enum prepare_stage stage)
{
    lock_take(&p->thread.lock);
    p->stage = stage;
    lock_give(&p->thread.lock);
    (void)!eventfd_write(p->changed, 1);
}

/* The database answers, and an operator can make it do what we ask for: a missing GRANT, a full disk, no tables yet. */
static int is_refused(int code)
{
    return db_fault_state(code) != DB_STATE_UP && !db_unavailable(code);
}

/* Whether to go on after an outcome: waits a while when the database could not be asked, when a migration was not
 * begun, and, if `persists`, when it was refused, which the caller has logged before. */
static int again(struct prepare *p, const struct error *why, int persists, int64_t *pause_ms)
{
    int refused = is_refused(why->code);
    if (!db_unavailable(why->code) && !migrate_is_postponed(why->code) && !(refused && persists))
        return 0;
    if (!p->unreachable && db_unavailable(why->code))
        log_event(LOG_WARN, "database unreachable, trying again", LOG_STR("error", why->text));
    else if (!p->unreachable && migrate_is_postponed(why->code))
        log_event(LOG_WARN, "migration postponed", LOG_STR("error", why->text));
    p->unreachable |= !refused;
    *pause_ms = *pause_ms ? *pause_ms * 2 : PAUSE_FIRST_MS;
    if (*pause_ms > PAUSE_LONGEST_MS)
        *pause_ms = PAUSE_LONGEST_MS;
    return thread_wait(&p->thread, clock_monotonic_ms() + *pause_ms);
}

static void tell_reached(struct prepare *p)
{
    if (p->unreachable)
        log_fields(LOG_INFO, "database reached", NULL, 0);
    p->unreachable = 0;
}

static void tell_migration(void *arg, const struct migrate_entry *entry)
{
    (void)arg;
    log_event(LOG_INFO, "migration applied", LOG_STR("name", entry->name));
}

/* 0 when these migrations are applied; else that is logged, and no reason to hold up the app. One that is postponed is
 * tried again until `deadline_ms`, or (INT64_MAX) for as long as it takes; one that is refused only in the latter
 * case. */
static int migrate(struct prepare *p, enum migrate_part part, int64_t deadline_ms)
{
    const struct migrate_options options = {.parts = part, .direct_url = store_config(p->store)->listen_url};
    struct error why;
    int64_t pause_ms = 0;
    for (;;) {
        int r = migrate_up(store_pool(p->store), &options, tell_migration, NULL, &why);
        if (r == 0) {
            tell_reached(p);
            return 0;
        }
        if (db_unavailable(r))
            set_stage(p, PREPARE_AGAIN);
        if (migrate_is_postponed(r) && !clock_left_ms(deadline_ms))
            break;
        if (!again(p, &why, deadline_ms == INT64_MAX, &pause_ms))
            break;
    }
    if (why.code == -ENOTSUP)
        log_event(LOG_WARN, "index missing", LOG_STR("error", why.text));
    else if (!db_unavailable(why.code) && !migrate_is_postponed(why.code))
        log_event(LOG_ERROR, "migration failed", LOG_STR("error", why.text));
    return why.code;
}

/* Once at each start. */
static void report_schema(struct prepare *p)
{
    struct store_status status;
    struct error why;
    if (store_status(p->store, &status, &why) < 0)
        return;
    if (status.schema == STORE_SCHEMA_FORBIDS)
        log_event(LOG_ERROR, "writes refused: the schema requires a newer release",
                  LOG_INT("migration", status.migration), LOG_INT("newest_known", status.migration_known),
                  LOG_STR("version", PERDURA_VERSION));
    else if (status.schema == STORE_SCHEMA_NEWER)
        log_event(LOG_WARN, "schema newer than this program", LOG_INT("migration", status.migration),
                  LOG_INT("newest_known", status.migration_known), LOG_STR("version", PERDURA_VERSION));
}

static void repair(struct prepare *p)
{
    struct error why;
    if (recount_if_wrong(p->store, &why) < 0 && !db_unavailable(why.code))
        log_event(LOG_WARN, "counters not checked", LOG_STR("error", why.text));
}

static void tell_problem(void *arg, const struct image_key *key, const struct error *why)
{
    (void)arg;
    log_event(why->code ? LOG_WARN : LOG_DEBUG, "file not restored", LOG_STR("collection", key->collection),
              LOG_STR("path", key->path), LOG_STR("error", why->text));
}

static void cancel_job(struct job *job)
{
    struct error why;
    error_set(&why, -ECANCELED, "we were asked to stop");
    job_fail(job, &why);
}

/* 0 while `job` may run. */
static int enter_job(struct prepare *p, struct job *job)
{
    lock_take(&p->thread.lock);
    p->job = job;
    int cancelled = p->thread.stopping;
    lock_give(&p->thread.lock);
    return cancelled ? -ECANCELED : 0;
}

/* One run over everything. Sets *why to its failure. */
static int restore_once(struct prepare *p, struct error *why)
{
    /* The watch and the HTTP service shall find connections, too. */
    const struct restore_options options = {.collections = p->collections,
                                            .threads = store_config(p->store)->db_pool / 2};
    struct job job;
    restore_init(&job, p->store, tell_problem, NULL);
    if (enter_job(p, &job) == 0)
        (void)!restore_run(&job, &options);
    else
        cancel_job(&job);
    (void)enter_job(p, NULL);
    int64_t restored = job_counted(&job, RESTORE_RESTORED), failed = job_counted(&job, RESTORE_FAILED);
    if (!job.failure.code || restored)
        log_event(LOG_INFO, job.failure.code ? "files partly restored" : "files restored", LOG_INT("files", restored),
                  LOG_INT("bytes", atomic_load(&job.bytes)), LOG_INT("present", job_counted(&job, RESTORE_PRESENT)),
                  LOG_INT("failed", failed), LOG_INT("ms", (clock_realtime_us() - job.started_us) / 1000));
    *why = job.failure;
    job_release(&job);
    return why->code;
}

/* 0, or a failure, which is logged. One that is refused is tried again if `persists`. */
static int restore(struct prepare *p, int persists)
{
    struct error why;
    int64_t pause_ms = 0;
    while (restore_once(p, &why) < 0)
        if (!again(p, &why, persists, &pause_ms))
            break;
    if (!why.code)
        tell_reached(p);
    else if (why.code != -ECANCELED && !db_unavailable(why.code))
        log_event(LOG_ERROR, "restore failed", LOG_STR("error", why.text));
    return why.code;
}

static int wait_for_go(struct prepare *p)
{
    lock_take(&p->thread.lock);
    while (!p->go && !p->thread.stopping)
        (void)thread_wait_change(&p->thread, THREAD_NEVER);
    int go = !p->thread.stopping;
    lock_give(&p->thread.lock);
    return go;
}

static void prepare_run(void *arg)
{
    struct prepare *p = arg;
    int migrated =
        p->what & PREPARE_MIGRATE ? migrate(p, MIGRATE_TABLES, clock_monotonic_ms() + POSTPONED_MS) : -ECANCELED;
    report_schema(p);
    set_stage(p, PREPARE_READY);
    startup_log_services(p->log);
    int restored = (p->what & PREPARE_RESTORE) && wait_for_go(p) ? restore(p, 0) : 0;
    set_stage(p, PREPARE_RESTORED);
    if (migrate_is_postponed(migrated) || is_refused(migrated))
        migrated = migrate(p, MIGRATE_TABLES, INT64_MAX);
    if (migrated == 0)
        repair(p);
    if (is_refused(restored))
        (void)!restore(p, 1);
    if (migrated == 0)
        (void)!migrate(p, MIGRATE_INDEXES, INT64_MAX); /* may take long, and nothing waits for it */
    set_stage(p, PREPARE_DONE);
}

static void release(struct prepare *p)
{
    if (p->changed >= 0)
        close(p->changed);
    thread_destroy(&p->thread);
    free(p->collections);
    free(p);
}

int prepare_start(struct prepare **ret, struct store *store, unsigned what, struct startup_log *log, struct error *e)
{
    struct prepare *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(e, -ENOMEM, "out of memory");
    thread_init(&p->thread, LOCK_prepare);
    p->store = store;
    p->what = what;
    p->log = log;
    p->changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->collections = config_collection_names(store_config(store), NULL);
    int r = p->changed < 0 ? -errno : !p->collections ? -ENOMEM : thread_start(&p->thread, "prepare", prepare_run, p);
    if (r < 0) {
        release(p);
        return error_set(e, r, "no thread to restore with: %s", strerror(-r));
    }
    *ret = p;
    return 0;
}

void prepare_restore(struct prepare *p)
{
    lock_take(&p->thread.lock);
    p->go = 1;
    pthread_cond_broadcast(&p->thread.changed);
    lock_give(&p->thread.lock);
}

static enum prepare_stage stage_of(struct prepare *p)
{
    eventfd_t count;
    (void)!eventfd_read(p->changed, &count);
    lock_take(&p->thread.lock);
    enum prepare_stage stage = p->stage;
    lock_give(&p->thread.lock);
    return stage;
}

enum prepare_stage prepare_wait(struct prepare *p, enum prepare_stage stage, struct stop_signals *s,
                                int64_t deadline_ms)
{
    enum prepare_stage reached;
    while ((reached = stage_of(p)) < stage && clock_left_ms(deadline_ms) && !(s && s->first)) {
        if (s)
            (void)stop_signals_wait_or(s, p->changed, deadline_ms);
        else
            (void)poll(&(struct pollfd){.fd = p->changed, .events = POLLIN}, 1, clock_left_ms(deadline_ms));
    }
    return reached;
}

void prepare_cancel(struct prepare *p)
{
    lock_take(&p->thread.lock);
    p->thread.stopping = 1;
    if (p->job)
        cancel_job(p->job);
    pthread_cond_broadcast(&p->thread.changed);
    lock_give(&p->thread.lock);
}

int prepare_stop(struct prepare *p, int64_t deadline_ms)
{
    if (!p)
        return 0;
    prepare_cancel(p);
    if (prepare_wait(p, PREPARE_DONE, NULL, deadline_ms) != PREPARE_DONE)
        return -ETIMEDOUT;
    (void)!thread_stop(&p->thread, THREAD_NEVER);
    release(p);
    return 0;
}
