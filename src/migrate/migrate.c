#include "migrate/migrate.h"

#include <errno.h>

#include "client/db.h"
#include "migrate/migrate_ledger.h"
#include "migrate/migrate_step.h"
#include "migrate/migration_text.h"

static int read_ledger(struct db_pool *pool, struct db_result **ret, struct error *e)
{
    struct db_conn *conn;
    int r = db_get(pool, &conn, e);
    if (r < 0)
        return r;
    r = migrate_ledger_read(conn, ret, e);
    db_put(conn);
    return r;
}

static int is_part(const struct migration *migration, enum migrate_part part)
{
    return migration_text_is_concurrent(migration->up) == (part == MIGRATE_INDEXES);
}

static int up_one(const struct migrate_runner *runner, enum migrate_mode mode, const struct migration *migration,
                  struct migrate_entry *entry, struct error *e)
{
    if (mode == MIGRATE_DRY_RUN)
        return 1;
    int r = migrate_step_up(runner, migration, &entry->applied_us, e);
    if (r == 1)
        entry->state = MIGRATE_APPLIED;
    return r;
}

/* All of this part. */
static int up_part(const struct migrate_runner *runner, enum migrate_mode mode, enum migrate_part part,
                   const struct db_result *ledger, migrate_fn *fn, void *arg, struct error *e)
{
    int r = 0, has_ledger = mode == MIGRATE_DRY_RUN || part == MIGRATE_INDEXES; /* the tables come first */
    for (int i = 0; i < MIGRATIONS && r >= 0; i++) {
        struct migrate_entry entry;
        if (!is_part(&migrations[i], part))
            continue;
        r = migrate_ledger_entry(ledger, &migrations[i], &entry, e);
        if (r < 0 || entry.state == MIGRATE_APPLIED)
            continue;
        if (!has_ledger)
            r = migrate_step_ledger(runner, e);
        has_ledger = 1;
        if (r == 0)
            r = up_one(runner, mode, &migrations[i], &entry, e);
        if (r == 1)
            fn(arg, &entry);
    }
    return r < 0 ? r : 0;
}

static struct migrate_runner runner_of(struct db_pool *pool, const struct migrate_options *options)
{
    return (struct migrate_runner){
        .pool = pool, .direct_url = options->direct_url, .deadline_ms = options->deadline_ms, .force = options->force};
}

int migrate_up(struct db_pool *pool, const struct migrate_options *options, migrate_fn *fn, void *arg, struct error *e)
{
    const struct migrate_runner runner = runner_of(pool, options);
    struct db_result *ledger = NULL;
    const char *newer;
    int r = read_ledger(pool, &ledger, e);
    if (r == 0)
        r = migrate_ledger_check(ledger, &newer, e);
    for (unsigned part = MIGRATE_TABLES; part <= MIGRATE_INDEXES && r == 0; part <<= 1)
        if (options->parts & part)
            r = up_part(&runner, options->mode, part, ledger, fn, arg, e);
    db_result_free(ledger);
    return r;
}

/* The newest `count` that are applied, the newest first: how many there are. */
static int list_newest(const struct db_result *ledger, int count, const struct migration **ret, struct error *e)
{
    int found = 0;
    for (int i = MIGRATIONS - 1; i >= 0 && found < count; i--) {
        struct migrate_entry entry;
        int r = migrate_ledger_entry(ledger, &migrations[i], &entry, e);
        if (r < 0)
            return r;
        if (entry.state == MIGRATE_APPLIED)
            ret[found++] = &migrations[i];
    }
    return found;
}

static int count_loss(struct db_pool *pool, const struct migration *const *list, int len, struct migrate_loss *loss,
                      struct error *e)
{
    struct db_conn *conn;
    int r = db_get(pool, &conn, e);
    if (r < 0)
        return r;
    for (int i = 0; i < len && r == 0; i++)
        r = migrate_loss_count(conn, list[i]->version, loss, e);
    db_put(conn);
    return r;
}

static int down_list(const struct migrate_runner *runner, enum migrate_mode mode, const struct migration *const *list,
                     int len, migrate_fn *fn, void *arg, struct error *e)
{
    for (int i = 0; i < len; i++) {
        const struct migrate_entry entry = {list[i]->version, list[i]->name, MIGRATE_PENDING, 0};
        int r = mode == MIGRATE_DO ? migrate_step_down(runner, list[i], e) : 1;
        if (r < 0)
            return r;
        if (r == 1)
            fn(arg, &entry);
    }
    return 0;
}

int migrate_down(struct db_pool *pool, int count, const struct migrate_options *options, migrate_fn *fn, void *arg,
                 struct migrate_loss *ret_loss, struct error *e)
{
    const struct migrate_runner runner = runner_of(pool, options);
    const struct migration *list[MIGRATIONS];
    struct migrate_loss loss = {0};
    struct db_result *ledger = NULL;
    const char *newer = NULL;
    int len = 0;
    int r = read_ledger(pool, &ledger, e);
    if (r == 0)
        r = migrate_ledger_check(ledger, &newer, e);
    if (r == 0 && newer)
        r = error_set(e, -EINVAL,
                      "the database has migration %s, which is newer than this program (" PERDURA_VERSION
                      "): take it back with the newer program first",
                      newer);
    if (r == 0)
        r = len = list_newest(ledger, count, list, e);
    if (r >= 0)
        r = count_loss(pool, list, len, &loss, e);
    if (r == 0 && loss.len && !options->force)
        r = migrate_loss_refuse(&loss, e);
    if (r == 0 && ret_loss)
        *ret_loss = loss;
    if (r == 0)
        r = down_list(&runner, options->mode, list, len, fn, arg, e);
    db_result_free(ledger);
    return r;
}

int migrate_status(struct db_pool *pool, migrate_fn *fn, void *arg, struct error *e)
{
    struct db_result *ledger = NULL;
    int r = read_ledger(pool, &ledger, e);
    for (int i = 0; i < MIGRATIONS && r == 0; i++) {
        struct migrate_entry entry;
        r = migrate_ledger_entry(ledger, &migrations[i], &entry, e);
        if (r == 0)
            fn(arg, &entry);
    }
    for (int i = 0; r == 0 && ledger && i < db_rows(ledger); i++) {
        if (migrate_ledger_knows(db_int(ledger, i, 0)))
            continue;
        struct migrate_entry entry = {(int)db_int(ledger, i, 0), db_text(ledger, i, 1), MIGRATE_UNKNOWN,
                                      db_time(ledger, i, 3)};
        fn(arg, &entry);
    }
    db_result_free(ledger);
    return r;
}
