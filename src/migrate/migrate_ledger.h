/* What the table schema_migration says, held against the migrations that this program has. */
#ifndef MIGRATE_MIGRATE_LEDGER_H
#define MIGRATE_MIGRATE_LEDGER_H

#include "client/db.h"
#include "codec/digest.h"
#include "migrate/migrate.h"
#include "migrations.h"

/* *ret is NULL where there is no such table; else to be freed with db_result_free. */
int migrate_ledger_read(struct db_conn *conn, struct db_result **ret, struct error *e)
    __attribute__((warn_unused_result));

/* How one of ours stands. */
int migrate_ledger_entry(const struct db_result *ledger, const struct migration *migration, struct migrate_entry *ret,
                         struct error *e) __attribute__((warn_unused_result));

/* Whether this program may apply what is pending. 0, or -EINVAL with a text that names the migration: one was changed
 * after it was applied, one is missing here, or a newer program's is applied while one of ours is not.
 * *ret_newer is set to the name of the newest applied one that is newer than all of ours, or to NULL. */
int migrate_ledger_check(const struct db_result *ledger, const char **ret_newer, struct error *e)
    __attribute__((warn_unused_result));

/* Whether we have that migration. */
int migrate_ledger_knows(int64_t version);

int migrate_ledger_checksum(const struct migration *migration, char hex[DIGEST_HEX_SIZE], struct error *e)
    __attribute__((warn_unused_result));

#endif
