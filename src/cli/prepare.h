/* What `serve` and `run` do before the app starts, in a thread of its own: the tables are brought up to date, then
 * files are put back. A database that can't be reached is asked again, with growing pauses, for as long as it takes;
 * whoever waits here decides for how long.
 *
 * Logs what it does: there is nobody to return to. */
#ifndef CLI_PREPARE_H
#define CLI_PREPARE_H

#include "base/error.h"
#include "cli/startup_log.h"
#include "process/stop_signals.h"
#include "store/store.h"

struct prepare;

enum prepare_work { PREPARE_MIGRATE = 1, PREPARE_RESTORE = 2 };

enum prepare_stage {
    PREPARE_TABLES, /* asking for the tables, for the first time */
    PREPARE_AGAIN,  /* the database could not be reached and is asked again */
    PREPARE_READY,  /* the tables are up to date, will not be, or not soon; waits for prepare_restore or is restoring */
    PREPARE_RESTORED, /* migrations may still be tried, and indexes built */
    PREPARE_DONE
};

/* `what`: the bits of enum prepare_work. `log` (NULL is allowed) is borrowed: its second half is written once the
 * database is reached. -errno when there is no thread or no memory. */
int prepare_start(struct prepare **ret, struct store *store, unsigned what, struct startup_log *log, struct error *e)
    __attribute__((warn_unused_result));

/* From now on files may be put back. */
void prepare_restore(struct prepare *p);

/* Waits until `stage` is reached, deadline_ms (clock_monotonic_ms) is there, or, where s is not NULL, we are asked to
 * stop. Returns the stage reached. For one thread. */
enum prepare_stage prepare_wait(struct prepare *p, enum prepare_stage stage, struct stop_signals *s,
                                int64_t deadline_ms);

/* Asks it to end early. */
void prepare_cancel(struct prepare *p);

/* Cancels, waits and frees. -ETIMEDOUT when it is still held by the database at deadline_ms: then nothing is freed, and
 * its store must stay open. NULL is allowed. */
int prepare_stop(struct prepare *p, int64_t deadline_ms) __attribute__((warn_unused_result));

#endif
