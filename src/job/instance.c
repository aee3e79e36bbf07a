#include "job/instance.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/thread.h"
#include "client/db.h"
#include "client/db_fault.h"
#include "job/use.h"
#include "sql.h"
#include "store/store_cleanup.h"

#define RENEW_MS  15000
#define FAILED_MS 30000 /* after one that failed: during an outage every statement counts */
#define DAY_MS    INT64_C(86400000)
#define QUERY_MS  5000
#define GRACE_MS  200 /* for the thread to notice that its time is up */
#define NEVER_MS  (-DAY_MS)

struct instance {
    struct store *store;
    char id[40], host[256];
    /* Of the thread alone. */
    int has_row, has_reported;
    int64_t noted_ms; /* when uses were last noted, by clock_monotonic_ms */
    int64_t noted_us; /* the same by the clock that stamps files; 0: never */
    int64_t renewed_ms;
    int told_code;            /* of the last failure that was logged */
    atomic_llong recorded_us; /* when uses were last noted, or that was tried, by the server's clock; 0: never */
    atomic_int stopped;       /* ends what is being noted */
    struct thread thread;     /* its lock is over what follows */
    int64_t deadline_ms;      /* of the last notes */
};

static int query(struct instance *i, const struct sql_query *sql, const struct db_params *params,
                 struct db_result **ret, struct error *e)
{
    struct db_conn *conn;
    int r = db_get(store_pool(i->store), &conn, e);
    if (r < 0)
        return r;
    r = db_query(conn, sql, params, ret, e);
    db_put(conn);
    return r;
}

/* A database that is away, or has no tables yet, is reported by others. */
static void report_failure(struct instance *i, int code, const struct error *why)
{
    if (code == i->told_code || db_fault_state(code) == DB_STATE_UNREACHABLE ||
        db_fault_state(code) == DB_STATE_NO_TABLES)
        return;
    i->told_code = code;
    log_event(LOG_WARN, "uses of files not recorded", LOG_STR("error", why->text));
}

/* *ret_us is the server's time, *ret_wanted whether uses are to be noted now. */
static int renew(struct instance *i, int64_t *ret_us, int *ret_wanted)
{
    struct db_result *rows;
    struct db_params params;
    struct error why = {0};
    db_params_init(&params);
    db_param_text(&params, i->id);
    db_param_text(&params, i->host);
    int r = query(i, &sql_instance_renew, &params, &rows, &why);
    if (r < 0) {
        report_failure(i, r, &why);
        return r;
    }
    *ret_us = db_time(rows, 0, 0);
    *ret_wanted = (int)db_int(rows, 0, 1);
    db_result_free(rows);
    i->has_row = 1;
    i->renewed_ms = clock_monotonic_ms();
    return 0;
}

static void keep_renewed(void *arg)
{
    struct instance *i = arg;
    int64_t now_us;
    int wanted;
    if (clock_monotonic_ms() - i->renewed_ms >= RENEW_MS)
        (void)renew(i, &now_us, &wanted);
}

enum notes { NOTES_DAILY, NOTES_LAST };

static void note_uses(struct instance *i, int64_t now_us, enum notes notes, int64_t deadline_ms)
{
    int64_t began_ms = clock_monotonic_ms(), began_us = clock_realtime_us();
    struct use_noted noted;
    struct error why = {0};
    const struct use_options options = {.since_us = i->noted_us,
                                        .deadline_ms = deadline_ms,
                                        .stopped = notes == NOTES_LAST ? NULL : &i->stopped,
                                        .progress = notes == NOTES_LAST ? NULL : keep_renewed,
                                        .arg = i};
    int r = use_note(i->store, &options, &noted, &why);
    if (r == -ECANCELED || r == -ETIMEDOUT || db_unavailable(r))
        return;
    if (r < 0)
        report_failure(i, r, &why);
    else if (noted.used || noted.returned)
        log_event(LOG_DEBUG, "uses of files recorded", LOG_INT("used", noted.used),
                  LOG_INT("out_of_trash", noted.returned));
    struct db_params params;
    db_params_init(&params);
    db_param_text(&params, i->id);
    db_param_time(&params, now_us);
    db_param_text(&params, r < 0 ? why.text : NULL);
    db_param_int(&params, notes == NOTES_LAST);
    int recorded = query(i, &sql_instance_use, &params, NULL, NULL) == 0;
    if (recorded)
        atomic_store(&i->recorded_us, now_us);
    if (recorded && r == 0) {
        i->noted_ms = began_ms;
        i->noted_us = began_us;
    }
    if (r < 0)
        i->noted_ms = began_ms; /* tried again a day later, or when it is asked for */
}

/* Images in the trash that version 0.1.0 has put there by itself. */
static void report_cleaned_up(struct instance *i)
{
    struct store_cleanup_status status;
    if (i->has_reported || store_cleanup_status(i->store, &status, NULL) < 0)
        return;
    i->has_reported = 1;
    if (status.undecided)
        log_event(LOG_WARN, "images in the trash that the cleaning of an earlier version moved there",
                  LOG_INT("images", status.undecided), LOG_STR("restore_with", "perdura restore --cleaned-up"));
}

/* Returns how the renewal went. */
static int look(struct instance *i)
{
    int64_t now_us;
    int wanted;
    db_deadline(clock_monotonic_ms() + QUERY_MS);
    int r = renew(i, &now_us, &wanted);
    if (r == 0)
        report_cleaned_up(i);
    db_deadline(INT64_MAX);
    if (r == 0 && (wanted || clock_monotonic_ms() - i->noted_ms >= DAY_MS))
        note_uses(i, now_us, NOTES_DAILY, INT64_MAX);
    return r;
}

static void note_last_uses(struct instance *i, int64_t deadline_ms)
{
    int64_t now_us, last_ms = clock_monotonic_ms() + INSTANCE_LAST_MS;
    int wanted;
    if (!i->has_row)
        return;
    deadline_ms = deadline_ms < last_ms ? deadline_ms : last_ms;
    db_deadline(deadline_ms);
    if (renew(i, &now_us, &wanted) == 0)
        note_uses(i, now_us, NOTES_LAST, deadline_ms);
    db_deadline(INT64_MAX);
}

static void instance_run(void *arg)
{
    struct instance *i = arg;
    int r;
    do
        r = look(i);
    while (thread_wait(&i->thread, clock_monotonic_ms() + (r < 0 ? FAILED_MS : RENEW_MS)));
    lock_take(&i->thread.lock);
    int64_t deadline_ms = i->deadline_ms;
    lock_give(&i->thread.lock);
    note_last_uses(i, deadline_ms);
}

static void free_instance(struct instance *i)
{
    thread_destroy(&i->thread);
    free(i);
}

int instance_start(struct instance **ret, struct store *store)
{
    uint64_t random[2] = {0};
    struct instance *i = calloc(1, sizeof *i);
    if (!i)
        return -ENOMEM;
    i->store = store;
    i->noted_ms = NEVER_MS;
    if (getrandom(random, sizeof random, 0) != sizeof random) {
        free(i);
        return -EAGAIN;
    }
    (void)snprintf(i->id, sizeof i->id, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
    (void)gethostname(i->host, sizeof i->host - 1);
    thread_init(&i->thread, LOCK_instance);
    int r = thread_start(&i->thread, "instance", instance_run, i);
    if (r < 0)
        free_instance(i);
    else
        *ret = i;
    return r;
}

void instance_wake(struct instance *i)
{
    if (i)
        thread_wake(&i->thread);
}

int instance_has_noted(struct instance *i, int64_t since_us)
{
    return atomic_load(&i->recorded_us) >= since_us;
}

int instance_stop(struct instance *i, int64_t deadline_ms)
{
    if (!i)
        return 0;
    atomic_store(&i->stopped, 1);
    lock_take(&i->thread.lock);
    i->deadline_ms = deadline_ms;
    lock_give(&i->thread.lock);
    if (thread_stop(&i->thread, deadline_ms + GRACE_MS) < 0)
        return -ETIMEDOUT;
    free_instance(i);
    return 0;
}
