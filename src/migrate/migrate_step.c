#include "migrate/migrate_step.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "client/db_fault.h"
#include "migrate/migrate_ledger.h"
#include "migrate/migrate_loss.h"
#include "migrate/migration_text.h"
#include "sql.h"

#define POLL_FIRST_MS   100
#define POLL_LONGEST_MS 5000
#define DIRECT_LIMIT_MS 10000 /* for the small statements around a concurrent one */

#define BEGIN "BEGIN ISOLATION LEVEL READ COMMITTED"

#define CREATE_LEDGER                                                                                                  \
    "SET LOCAL client_min_messages = warning;"                                                                         \
    "CREATE TABLE IF NOT EXISTS schema_migration ("                                                                    \
    "version int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"                                             \
    "applied_at timestamptz NOT NULL DEFAULT now());"                                                                  \
    "ALTER TABLE schema_migration ADD COLUMN IF NOT EXISTS compatible_from text"

enum direction { UP, DOWN };

struct step {
    const struct migration *migration; /* NULL: the ledger */
    enum direction direction;
    const char *script;
    int64_t applied_us;
};

int migrate_is_postponed(int code)
{
    enum db_retry retry = db_fault_retry(code);
    return code == DB_LOCKED || code == DB_CANCELED || retry == DB_RETRY_AT_ONCE;
}

static int is_busy(struct error *e)
{
    return error_set(e, DB_LOCKED, "another instance is migrating this database");
}

static int record(struct db_conn *conn, struct step *step, struct error *e)
{
    char hex[DIGEST_HEX_SIZE], compatible[MIGRATION_WORD_SIZE];
    struct db_params params;
    struct db_result *rows;
    db_params_init(&params);
    db_param_int(&params, step->migration->version);
    if (step->direction == DOWN)
        return db_query(conn, &sql_migration_forget, &params, NULL, e);

    int r = migrate_ledger_checksum(step->migration, hex, e);
    if (r < 0)
        return r;
    db_param_text(&params, step->migration->name);
    db_param_text(&params, hex);
    db_param_text(&params, migration_text_compatible_from(step->script, compatible) ? compatible : NULL);
    r = db_query(conn, &sql_migration_record, &params, &rows, e);
    if (r < 0)
        return r;
    step->applied_us = db_time(rows, 0, 0);
    db_result_free(rows);
    return 0;
}

/* 1 when the step is still to be done. */
static int is_to_be_done(struct db_conn *conn, const struct step *step, struct error *e)
{
    struct db_params params;
    struct db_result *rows;
    if (!step->migration)
        return 1;
    db_params_init(&params);
    db_param_int(&params, step->migration->version);
    int r = db_query(conn, &sql_migration_is_applied, &params, &rows, e);
    if (r < 0)
        return r;
    int is_applied = (int)db_int(rows, 0, 0);
    db_result_free(rows);
    return step->direction == UP ? !is_applied : is_applied;
}

/* 1 when the lock was free. */
static int lock_transaction(struct db_conn *conn, struct error *e)
{
    struct db_result *rows;
    int r = db_query(conn, &sql_migration_begin, NULL, &rows, e);
    if (r < 0)
        return r;
    int is_ours = (int)db_int(rows, 0, 3);
    db_result_free(rows);
    return is_ours ? 1 : is_busy(e);
}

static int lock_session(struct db_conn *conn, struct error *e)
{
    struct db_params params;
    struct db_result *rows;
    db_params_init(&params);
    db_param_int(&params, db_backend(conn));
    int r = db_query(conn, &sql_migration_begin_session, &params, &rows, e);
    if (r < 0)
        return r;
    int is_direct = (int)db_int(rows, 0, 0), is_ours = (int)db_int(rows, 0, 1);
    db_result_free(rows);
    if (!is_direct)
        return error_set(e, -ENOTSUP,
                         "an index is built beside the writers, which needs a direct connection and not one through a "
                         "pooler: set PERDURA_LISTEN_URL");
    return is_ours ? 1 : is_busy(e);
}

static int work(const struct migrate_runner *runner, struct db_conn *conn, struct step *step, struct error *e)
{
    int r = lock_transaction(conn, e);
    if (r == 1)
        r = is_to_be_done(conn, step, e);
    if (r == 1 && step->direction == DOWN && !runner->force)
        r = migrate_loss_forbid(conn, step->migration->version, e);
    if (r <= 0)
        return r;
    r = db_script(conn, step->script, e);
    if (r == 0 && step->migration)
        r = record(conn, step, e);
    return r < 0 ? r : 1;
}

static int run_in_transaction(const struct migrate_runner *runner, struct step *step, struct error *e)
{
    struct db_conn *conn;
    int r = db_get(runner->pool, &conn, e);
    if (r < 0)
        return r;
    r = db_script(conn, BEGIN, e);
    if (r == 0)
        r = work(runner, conn, step, e);
    if (r == 1) {
        int committed = db_script(conn, "COMMIT", e);
        r = committed < 0 ? committed : 1;
    }
    if (r <= 0)
        (void)!db_script(conn, "ROLLBACK", NULL);
    db_put(conn);
    return r;
}

static int drop_leftover(struct db_conn *conn, const char *script, struct error *e)
{
    char index[MIGRATION_WORD_SIZE];
    struct db_params params;
    struct db_result *rows;
    if (!migration_text_index(script, index))
        return 0;
    db_params_init(&params);
    db_param_text(&params, index);
    int r = db_query(conn, &sql_migration_leftover, &params, &rows, e);
    if (r < 0)
        return r;
    if (db_rows(rows))
        r = db_script(conn, db_text(rows, 0, 0), e);
    db_result_free(rows);
    return r;
}

static int work_in_session(struct db_conn *conn, struct step *step, struct error *e)
{
    db_pin(conn);
    int r = lock_session(conn, e);
    if (r == 1)
        r = is_to_be_done(conn, step, e);
    if (r <= 0)
        return r;
    r = drop_leftover(conn, step->script, e);
    if (r == 0)
        r = db_script(conn, step->script, e);
    if (r == 0)
        r = record(conn, step, e);
    return r < 0 ? r : 1;
}

/* The session's lock and settings end with the connection. */
static int run_in_session(const struct migrate_runner *runner, struct step *step, struct error *e)
{
    const struct db_options options = {.url = runner->direct_url, .max_connections = 1, .timeout_ms = DIRECT_LIMIT_MS};
    struct db_pool *direct = NULL;
    struct db_conn *conn;
    int r = runner->direct_url ? db_pool_open(&direct, &options, e) : 0;
    if (r == 0)
        r = db_get(direct ? direct : runner->pool, &conn, e);
    if (r == 0) {
        r = work_in_session(conn, step, e);
        db_discard(conn);
    }
    db_pool_close(direct);
    return r;
}

static int run_once(const struct migrate_runner *runner, struct step *step, struct error *e)
{
    struct error why = {0};
    int r = step->migration && migration_text_is_concurrent(step->script) ? run_in_session(runner, step, &why)
                                                                          : run_in_transaction(runner, step, &why);
    if (r < 0)
        return error_set(e, r, "migration %s: %s", step->migration ? step->migration->name : "of schema_migration",
                         why.text);
    return r;
}

static int run(const struct migrate_runner *runner, struct step *step, struct error *e)
{
    for (int pause_ms = POLL_FIRST_MS;; pause_ms *= 2) {
        int r = run_once(runner, step, e);
        int left_ms = clock_left_ms(runner->deadline_ms);
        if (!migrate_is_postponed(r) || !left_ms)
            return r;
        if (pause_ms > POLL_LONGEST_MS)
            pause_ms = POLL_LONGEST_MS;
        (void)poll(NULL, 0, pause_ms < left_ms ? pause_ms : left_ms);
    }
}

int migrate_step_ledger(const struct migrate_runner *runner, struct error *e)
{
    struct step step = {.script = CREATE_LEDGER};
    int r = run(runner, &step, e);
    return r < 0 ? r : 0;
}

int migrate_step_up(const struct migrate_runner *runner, const struct migration *migration, int64_t *ret_us,
                    struct error *e)
{
    struct step step = {.migration = migration, .direction = UP, .script = migration->up};
    int r = run(runner, &step, e);
    if (r >= 0)
        *ret_us = step.applied_us;
    return r;
}

int migrate_step_down(const struct migrate_runner *runner, const struct migration *migration, struct error *e)
{
    struct step step = {.migration = migration, .direction = DOWN, .script = migration->down};
    return run(runner, &step, e);
}
