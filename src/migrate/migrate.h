/* Brings the database's tables to the form that this program expects, or back.
 *
 * The migrations are embedded in the binary; migrate_step.h says how one runs. Any number of instances may start at
 * once: each migration is applied by one of them.
 *
 * Migrations only add to the schema, so that a program also runs on the schema of the next version: a newer schema is
 * reported and is no error. A migration that older programs cannot write beside names the oldest version that can
 * (schema_migration.compatible_from); the client then sends no statement that writes (client/db.h). */
#ifndef MIGRATE_MIGRATE_H
#define MIGRATE_MIGRATE_H

#include <stdint.h>

#include "base/error.h"
#include "migrate/migrate_loss.h"

struct db_pool;

enum migrate_state {
    MIGRATE_PENDING,
    MIGRATE_APPLIED,
    MIGRATE_CHANGED, /* applied, but the text was another one then */
    MIGRATE_UNKNOWN  /* applied, but this program does not have it */
};

struct migrate_entry {
    int version;
    const char *name;
    enum migrate_state state;
    int64_t applied_us; /* 0: pending */
};

/* Called for each migration that was (or, in a dry run, would be) applied or taken back, in the state that it has now;
 * for status, for each one. */
typedef void migrate_fn(void *arg, const struct migrate_entry *entry);

enum migrate_mode { MIGRATE_DO, MIGRATE_DRY_RUN };

/* Migrations that run in a transaction; those that build indexes beside the writers, which nothing but speed depends on
 * and which may take long. */
enum migrate_part { MIGRATE_TABLES = 1, MIGRATE_INDEXES = 2 };

struct migrate_options {
    enum migrate_mode mode;
    unsigned parts;         /* enum migrate_part, or-ed; for up */
    int force;              /* for down: drops rows */
    const char *direct_url; /* not through a pooler; NULL: as the pool's */
    int64_t deadline_ms;    /* clock_monotonic_ms: until then locks that others hold are asked for again */
};

/* Applies what is pending. -EINVAL, with a text that names it, when an applied migration was changed or is missing in
 * this program; then nothing is applied. -ENOTSUP: all but one that needs a direct connection. */
int migrate_up(struct db_pool *pool, const struct migrate_options *options, migrate_fn *fn, void *arg, struct error *e)
    __attribute__((warn_unused_result));

/* Takes back the newest `count`. -ENOTEMPTY, without `force`, when they would drop what is stored; then nothing is
 * taken back, or, when it was stored meanwhile, not all. *ret_loss (may be NULL): what they drop. */
int migrate_down(struct db_pool *pool, int count, const struct migrate_options *options, migrate_fn *fn, void *arg,
                 struct migrate_loss *ret_loss, struct error *e) __attribute__((warn_unused_result));

int migrate_status(struct db_pool *pool, migrate_fn *fn, void *arg, struct error *e)
    __attribute__((warn_unused_result));

/* Whether a later call may succeed: another instance is migrating, or an open transaction holds a lock. */
int migrate_is_postponed(int code);

#endif
