/* What is done without being asked for: uploads are moved to their buckets every so often, by each instance (they share
 * the work, job/sync.h); once a day, at PERDURA_CLEANUP_AT by the local clock, one instance for all cleans up
 * (job/cleanup.h), removes copies of images from elsewhere that are older than PERDURA_COPY_DAYS, and forgets uploads
 * that were completed long ago. Live images go into the trash only if PERDURA_CLEANUP_DAYS is a number.
 *
 * Who cleans is decided in the database (sql/schedule_take.sql) by the day that an instance's clock shows, so that
 * clocks need not agree. A day on which nobody was there is made up for as soon as somebody is. */
#ifndef JOB_SCHEDULE_H
#define JOB_SCHEDULE_H

#include "job/instance.h"
#include "job/sync.h"

struct schedule;

struct schedule_options {
    struct store *store;
    struct instance *instance;                           /* this process in the table of instances; NULL: it is none */
    int interval_s;                                      /* from the start of a sync to the start of the next */
    int64_t rounds;                                      /* so many syncs; 0: until it is stopped */
    sync_told_fn *told;                                  /* NULL: the log is told */
    void (*ended)(void *arg, struct job *job, int more); /* a sync has ended; `more` follow. May be NULL */
    void *arg;
    int wake_fd; /* an eventfd(2) that is told when the last round has ended; -1: none */
};

/* Starts the thread, which begins with a sync. -ENOMEM, -EAGAIN (no more threads). */
int schedule_start(struct schedule **ret, const struct schedule_options *options) __attribute__((warn_unused_result));

/* No job is begun any more, and the one that runs ends soon. NULL is allowed. */
void schedule_cancel(struct schedule *s);

/* Waits until deadline_ms (clock_monotonic_ms) for the thread to end, and frees. -ETIMEDOUT: the database or a bucket
 * holds it; then nothing is freed, and it may be called again. NULL is allowed. */
int schedule_stop(struct schedule *s, int64_t deadline_ms) __attribute__((warn_unused_result));

/* The day whose hour of cleaning has come last at `now_s` (seconds since 1970), "2026-11-21" in local time. */
struct schedule_day {
    char day[16];
    int just_now;   /* it came within the last hour */
    int64_t next_s; /* when the next one comes */
};

struct schedule_day schedule_day(int64_t now_s, int cleanup_at);

#endif
