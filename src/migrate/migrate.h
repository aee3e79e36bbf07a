/* Brings the database's tables to the form that this program expects, or back.
 *
 * The migrations are embedded in the binary. Each runs in a transaction of its own; meanwhile a second connection holds
 * an advisory lock in a transaction, so that of many instances that start at once one migrates and the others wait and
 * find nothing left to do. (Not a session lock: behind a pooler in transaction mode there are no sessions.) */
#ifndef MIGRATE_MIGRATE_H
#define MIGRATE_MIGRATE_H

#include <stdint.h>

#include "base/error.h"

struct db_pool;

enum migrate_state {
    MIGRATE_PENDING,
    MIGRATE_APPLIED,
    MIGRATE_CHANGED, /* applied, but the text was another one then */
    MIGRATE_UNKNOWN  /* applied, but this program does not know it */
};

struct migrate_entry {
    int version;
    const char *name;
    enum migrate_state state;
    int64_t applied_us; /* 0: pending */
};

/* Told each migration that was (or, in a dry run, would be) applied or taken back, or, for status, each one known. */
typedef void migrate_fn(void *arg, const struct migrate_entry *entry);

enum migrate_mode { MIGRATE_DO, MIGRATE_DRY_RUN };

/* Applies what is pending. -EINVAL, with a text that names it, when an applied migration was changed or is unknown;
 * then nothing is applied. */
int migrate_up(struct db_pool *pool, enum migrate_mode mode, migrate_fn *fn, void *arg, struct error *e)
    __attribute__((warn_unused_result));

/* Takes back the newest `count`. What their tables held is gone. */
int migrate_down(struct db_pool *pool, int count, enum migrate_mode mode, migrate_fn *fn, void *arg, struct error *e)
    __attribute__((warn_unused_result));

int migrate_status(struct db_pool *pool, migrate_fn *fn, void *arg, struct error *e)
    __attribute__((warn_unused_result));

#endif
