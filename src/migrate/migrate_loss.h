/* What users have stored and a migration would drop when it is taken back. Tables that can be filled again or only hold
 * history (counters, names of deleted rows, sessions, jobs, hours) do not count. */
#ifndef MIGRATE_MIGRATE_LOSS_H
#define MIGRATE_MIGRATE_LOSS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct db_conn;

#define MIGRATE_LOSSES 4

struct migrate_loss {
    int len;
    struct {
        int64_t rows; /* above 0 */
        const char *one, *many;
    } kinds[MIGRATE_LOSSES];
};

/* Adds what this migration would drop. It is applied. */
int migrate_loss_count(struct db_conn *conn, int version, struct migrate_loss *loss, struct error *e)
    __attribute__((warn_unused_result));

/* "4 images, 1 image in the trash". */
void migrate_loss_text(const struct migrate_loss *loss, char *ret, size_t size);

/* In the transaction that takes it back: from here to its end nobody adds rows. 1, or -ENOTEMPTY when it would drop
 * some. */
int migrate_loss_forbid(struct db_conn *conn, int version, struct error *e) __attribute__((warn_unused_result));

/* The refusal. Returns -ENOTEMPTY. */
int migrate_loss_refuse(const struct migrate_loss *loss, struct error *e);

#endif
