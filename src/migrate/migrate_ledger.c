#include "migrate/migrate_ledger.h"

#include <errno.h>
#include <string.h>

#include "sql.h"

enum ledger_column { COL_VERSION, COL_NAME, COL_CHECKSUM, COL_APPLIED_AT };

int migrate_ledger_checksum(const struct migration *migration, char hex[DIGEST_HEX_SIZE], struct error *e)
{
    unsigned char sha256[DIGEST_SHA256_LEN];
    if (digest_sha256(migration->up, strlen(migration->up), sha256) < 0)
        return error_set(e, -EIO, "SHA-256 is not available in this OpenSSL");
    digest_hex(hex, sha256);
    return 0;
}

int migrate_ledger_knows(int64_t version)
{
    for (int i = 0; i < MIGRATIONS; i++)
        if (migrations[i].version == version)
            return 1;
    return 0;
}

int migrate_ledger_read(struct db_conn *conn, struct db_result **ret, struct error *e)
{
    struct db_result *exists;
    int r = db_query(conn, &sql_migration_exists, NULL, &exists, e);
    if (r < 0)
        return r;
    int has_table = (int)db_int(exists, 0, 0);
    db_result_free(exists);
    if (has_table)
        return db_query(conn, &sql_migration_applied, NULL, ret, e);
    *ret = NULL;
    return 0;
}

int migrate_ledger_entry(const struct db_result *ledger, const struct migration *migration, struct migrate_entry *ret,
                         struct error *e)
{
    char hex[DIGEST_HEX_SIZE];
    int r = migrate_ledger_checksum(migration, hex, e);
    if (r < 0)
        return r;
    *ret = (struct migrate_entry){migration->version, migration->name, MIGRATE_PENDING, 0};
    for (int i = 0; ledger && i < db_rows(ledger); i++) {
        if (db_int(ledger, i, COL_VERSION) != migration->version)
            continue;
        ret->state = strcmp(db_text(ledger, i, COL_CHECKSUM), hex) == 0 ? MIGRATE_APPLIED : MIGRATE_CHANGED;
        ret->applied_us = db_time(ledger, i, COL_APPLIED_AT);
    }
    return 0;
}

static int check_applied(const struct db_result *ledger, const char **ret_newer, struct error *e)
{
    *ret_newer = NULL;
    for (int i = 0; ledger && i < db_rows(ledger); i++) {
        int64_t version = db_int(ledger, i, COL_VERSION);
        if (migrate_ledger_knows(version))
            continue;
        if (version < migrations[MIGRATIONS - 1].version)
            return error_set(e, -EINVAL,
                             "migration %s is applied to this database and missing in this program (" PERDURA_VERSION
                             "): use the release that has it",
                             db_text(ledger, i, COL_NAME));
        *ret_newer = db_text(ledger, i, COL_NAME);
    }
    return 0;
}

int migrate_ledger_check(const struct db_result *ledger, const char **ret_newer, struct error *e)
{
    const char *newer;
    int r = check_applied(ledger, &newer, e);
    for (int i = 0; i < MIGRATIONS && r == 0; i++) {
        struct migrate_entry entry;
        r = migrate_ledger_entry(ledger, &migrations[i], &entry, e);
        if (r < 0)
            break;
        if (entry.state == MIGRATE_CHANGED)
            r = error_set(e, -EINVAL,
                          "migration %s was changed after it had been applied to this database: restore its text and "
                          "put the change into a migration of its own",
                          migrations[i].name);
        else if (entry.state == MIGRATE_PENDING && newer)
            r = error_set(e, -EINVAL,
                          "the database has migration %s, which is newer than this program (" PERDURA_VERSION
                          "), but not %s: use the newer program",
                          newer, migrations[i].name);
    }
    if (r == 0)
        *ret_newer = newer;
    return r;
}
