#include "migrate/migrate.h"

#include <errno.h>
#include <string.h>

#include "client/db.h"
#include "codec/digest.h"
#include "migrations.h"
#include "sql.h"

/* "Perdura" in ASCII, less a letter: a number that no other program is likely to lock. */
#define LOCK "BEGIN; SELECT pg_advisory_xact_lock(88101120521829)"

#define CREATE_LEDGER                                                                                                  \
    "SET client_min_messages = warning;"                                                                               \
    "CREATE TABLE IF NOT EXISTS schema_migration ("                                                                    \
    "version int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"                                             \
    "applied_at timestamptz NOT NULL DEFAULT now());"                                                                  \
    "RESET client_min_messages"

struct migrator {
    struct db_conn *lock; /* its transaction holds the lock */
    struct db_conn *work;
    struct db_result *ledger; /* NULL: there is none yet */
};

static int checksum(const struct migration *m, char hex[DIGEST_HEX_SIZE], struct error *e)
{
    unsigned char sha256[DIGEST_SHA256_LEN];
    if (digest_sha256(m->up, strlen(m->up), sha256) < 0)
        return error_set(e, -EIO, "SHA-256 is not available in this OpenSSL");
    digest_hex(hex, sha256);
    return 0;
}

/* Row of the ledger for this version, or -1. */
static int ledger_row(const struct db_result *ledger, int version)
{
    for (int i = 0; ledger && i < db_rows(ledger); i++)
        if (db_int(ledger, i, 0) == version)
            return i;
    return -1;
}

static const struct migration *known(int64_t version)
{
    for (int i = 0; i < MIGRATIONS; i++)
        if (migrations[i].version == version)
            return &migrations[i];
    return NULL;
}

static int read_ledger(struct migrator *m, struct error *e)
{
    struct db_result *exists;
    int r = db_query(m->work, &sql_migration_exists, NULL, &exists, e);
    if (r < 0)
        return r;
    int there = (int)db_int(exists, 0, 0);
    db_result_free(exists);
    return there ? db_query(m->work, &sql_migration_applied, NULL, &m->ledger, e) : 0;
}

static int describe(const struct migrator *m, const struct migration *migration, struct migrate_entry *ret,
                    struct error *e)
{
    char hex[DIGEST_HEX_SIZE];
    int row = ledger_row(m->ledger, migration->version);
    int r = checksum(migration, hex, e);
    if (r < 0)
        return r;
    *ret = (struct migrate_entry){migration->version, migration->name, MIGRATE_PENDING, 0};
    if (row >= 0) {
        ret->state = strcmp(db_text(m->ledger, row, 2), hex) == 0 ? MIGRATE_APPLIED : MIGRATE_CHANGED;
        ret->applied_us = db_time(m->ledger, row, 3);
    }
    return 0;
}

/* What was applied must be what we know. */
static int check_ledger(const struct migrator *m, struct error *e)
{
    for (int i = 0; m->ledger && i < db_rows(m->ledger); i++) {
        const struct migration *migration = known(db_int(m->ledger, i, 0));
        struct migrate_entry entry;
        if (!migration)
            return error_set(e, -EINVAL,
                             "the database has migration %s, which this program (" PERDURA_VERSION
                             ") does not know: use the newer program, or take it back with that one",
                             db_text(m->ledger, i, 1));
        int r = describe(m, migration, &entry, e);
        if (r < 0)
            return r;
        if (entry.state == MIGRATE_CHANGED)
            return error_set(e, -EINVAL,
                             "migration %s was changed after it had been applied to this database: restore "
                             "its text and put the change into a migration of its own",
                             migration->name);
    }
    return 0;
}

static int begin(struct db_pool *pool, struct migrator *m, struct error *e)
{
    *m = (struct migrator){0};
    int r = db_get(pool, &m->lock, e);
    if (r == 0)
        r = db_get(pool, &m->work, e);
    if (r == 0)
        r = db_script(m->lock, LOCK, e);
    if (r == 0)
        r = read_ledger(m, e);
    return r;
}

static void end(struct migrator *m)
{
    if (m->lock)
        (void)!db_script(m->lock, "ROLLBACK", NULL); /* there is nothing in it but the lock */
    db_result_free(m->ledger);
    db_put(m->work);
    db_put(m->lock);
}

/* Runs `script` and `record` in one transaction. */
static int apply(struct migrator *m, const struct migration *migration, const char *script,
                 const struct sql_query *record, const struct db_params *params, struct error *e)
{
    struct error why = {0};
    int r = db_script(m->work, "BEGIN", &why);
    if (r == 0)
        r = db_script(m->work, script, &why);
    if (r == 0)
        r = db_query(m->work, record, params, NULL, &why);
    if (r == 0)
        r = db_script(m->work, "COMMIT", &why);
    if (r < 0) {
        (void)!db_script(m->work, "ROLLBACK", NULL);
        return error_set(e, r, "migration %s: %s", migration->name, why.text);
    }
    return 0;
}

static int apply_up(struct migrator *m, const struct migration *migration, struct error *e)
{
    char hex[DIGEST_HEX_SIZE];
    struct db_params params;
    int r = checksum(migration, hex, e);
    if (r < 0)
        return r;
    db_params_init(&params);
    db_param_int(&params, migration->version);
    db_param_text(&params, migration->name);
    db_param_text(&params, hex);
    return apply(m, migration, migration->up, &sql_migration_record, &params, e);
}

static int apply_down(struct migrator *m, const struct migration *migration, struct error *e)
{
    struct db_params params;
    db_params_init(&params);
    db_param_int(&params, migration->version);
    return apply(m, migration, migration->down, &sql_migration_forget, &params, e);
}

int migrate_up(struct db_pool *pool, enum migrate_mode mode, migrate_fn *fn, void *arg, struct error *e)
{
    struct migrator m;
    int r = begin(pool, &m, e);
    if (r == 0)
        r = check_ledger(&m, e);
    if (r == 0 && mode == MIGRATE_DO && !m.ledger)
        r = db_script(m.work, CREATE_LEDGER, e);
    for (int i = 0; i < MIGRATIONS && r == 0; i++) {
        struct migrate_entry entry;
        r = describe(&m, &migrations[i], &entry, e);
        if (r < 0 || entry.state == MIGRATE_APPLIED)
            continue;
        if (mode == MIGRATE_DO)
            r = apply_up(&m, &migrations[i], e);
        if (r == 0)
            fn(arg, &entry);
    }
    end(&m);
    return r;
}

int migrate_down(struct db_pool *pool, int count, enum migrate_mode mode, migrate_fn *fn, void *arg, struct error *e)
{
    struct migrator m;
    int r = begin(pool, &m, e);
    if (r == 0)
        r = check_ledger(&m, e);
    for (int i = MIGRATIONS - 1; i >= 0 && count > 0 && r == 0; i--) {
        struct migrate_entry entry;
        r = describe(&m, &migrations[i], &entry, e);
        if (r < 0 || entry.state != MIGRATE_APPLIED)
            continue;
        if (mode == MIGRATE_DO)
            r = apply_down(&m, &migrations[i], e);
        if (r == 0)
            fn(arg, &entry);
        count--;
    }
    end(&m);
    return r;
}

int migrate_status(struct db_pool *pool, migrate_fn *fn, void *arg, struct error *e)
{
    struct migrator m = {0};
    int r = db_get(pool, &m.work, e);
    if (r == 0)
        r = read_ledger(&m, e);
    for (int i = 0; i < MIGRATIONS && r == 0; i++) {
        struct migrate_entry entry;
        r = describe(&m, &migrations[i], &entry, e);
        if (r == 0)
            fn(arg, &entry);
    }
    for (int i = 0; r == 0 && m.ledger && i < db_rows(m.ledger); i++) {
        if (known(db_int(m.ledger, i, 0)))
            continue;
        struct migrate_entry entry = {(int)db_int(m.ledger, i, 0), db_text(m.ledger, i, 1), MIGRATE_UNKNOWN,
                                      db_time(m.ledger, i, 3)};
        fn(arg, &entry);
    }
    end(&m);
    return r;
}
