/* One migration, applied or taken back.
 *
 *   1. A file runs in one transaction together with its row in the ledger. The transaction first tries an advisory lock
 *      and ends when another instance has it; behind the lock it looks whether the work is still to be done.
 *   2. A file that is marked "-- no transaction" holds one CREATE or DROP INDEX CONCURRENTLY and runs in a session that
 *      holds an advisory lock until it is closed. An index that an interrupted run has left invalid is dropped first.
 *   3. Locks are polled, and locks of tables are given up after a second, so that neither an instance nor a writer
 *      waits behind us for long. Until `deadline_ms` (clock_monotonic_ms) the step is tried again. */
#ifndef MIGRATE_MIGRATE_STEP_H
#define MIGRATE_MIGRATE_STEP_H

#include "client/db.h"
#include "migrate/migrate.h"
#include "migrations.h"

struct migrate_runner {
    struct db_pool *pool;
    const char *direct_url; /* for what needs a session of its own; NULL: the pool's connections are direct */
    int64_t deadline_ms;
    int force;
};

/* Makes the ledger, or gives one of version 0.1.0 its new column. */
int migrate_step_ledger(const struct migrate_runner *runner, struct error *e) __attribute__((warn_unused_result));

/* 1 when it was done here, 0 when another instance had done it. A code for which migrate_is_postponed() is true: not
 * within the time. -ENOTEMPTY: it would drop rows, and `force` is not set. *ret_us: when it was applied. */
int migrate_step_up(const struct migrate_runner *runner, const struct migration *migration, int64_t *ret_us,
                    struct error *e) __attribute__((warn_unused_result));
int migrate_step_down(const struct migrate_runner *runner, const struct migration *migration, struct error *e)
    __attribute__((warn_unused_result));

#endif
