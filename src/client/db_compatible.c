/* Whether this program may still write: a migration of a newer one may forbid it (schema_migration.compatible_from). */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/version.h"
#include "client/db_conn.h"
#include "client/db_fault.h"
#include "sql.h"

#define ASK_EVERY_MS 60000

static void take_newest(const struct db_result *rows, char ret[DB_VERSION_SIZE])
{
    *ret = '\0';
    for (int i = 0; i < db_rows(rows); i++)
        if (!*ret || version_compare(ret, db_text(rows, i, 0)) < 0)
            snprintf(ret, DB_VERSION_SIZE, "%.*s", DB_VERSION_SIZE - 1, db_text(rows, i, 0));
}

int db_version_forbids(const char *compatible_from, struct error *e)
{
    if (!*compatible_from || version_compare(PERDURA_VERSION, compatible_from) >= 0)
        return 0;
    return error_set_sentence(
        e, DB_READ_ONLY,
        "the database was migrated by a newer release and may be written to by Perdura %s or newer; this is "
        "%s: deploy the newer release",
        compatible_from, PERDURA_VERSION);
}

int db_conn_may_write(struct db_conn *conn, struct error *e)
{
    struct db_pool *pool = db_conn_pool(conn);
    char version[DB_VERSION_SIZE];
    struct db_result *rows;
    if (db_pool_ask_version(pool, clock_monotonic_ms(), ASK_EVERY_MS)) {
        int r = db_query(conn, &sql_schema_compatible, NULL, &rows, e);
        if (db_fault_state(r) == DB_STATE_UNREACHABLE)
            return r;
        if (r == 0)
            take_newest(rows, version);
        db_pool_set_version(pool, r == 0 ? version : NULL);
        if (r == 0)
            db_result_free(rows);
    }
    db_pool_version(pool, version);
    return db_version_forbids(version, e);
}
