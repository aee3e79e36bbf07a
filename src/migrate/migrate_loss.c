#include "migrate/migrate_loss.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/db.h"
#include "sql.h"

#define KINDS 2

static const struct holder {
    int version; /* of the migration that made it */
    const char *lock;
    const struct sql_query *count; /* a column for each of the kinds */
    struct {
        const char *one, *many;
    } kinds[KINDS];
} holders[] = {
    {1,
     "LOCK TABLE image_cache IN ACCESS EXCLUSIVE MODE",
     &sql_migration_images,
     {{"image", "images"}, {"image in the trash", "images in the trash"}}},
    {4, "LOCK TABLE upload IN ACCESS EXCLUSIVE MODE", &sql_migration_uploads, {{"upload", "uploads"}}},
    {6,
     "LOCK TABLE image_cache IN ACCESS EXCLUSIVE MODE",
     &sql_migration_cleaned,
     {{"mark that the cleaning, and nobody else, has moved an image to the trash",
       "marks that the cleaning, and nobody else, has moved an image to the trash"}}},
};
#define HOLDERS (sizeof holders / sizeof *holders)

static const struct holder *find(int version)
{
    for (size_t i = 0; i < HOLDERS; i++)
        if (holders[i].version == version)
            return &holders[i];
    return NULL;
}

int migrate_loss_count(struct db_conn *conn, int version, struct migrate_loss *loss, struct error *e)
{
    const struct holder *holder = find(version);
    struct db_result *rows;
    if (!holder)
        return 0;
    int r = db_query(conn, holder->count, NULL, &rows, e);
    if (r < 0)
        return r;
    for (int i = 0; i < KINDS && holder->kinds[i].one; i++) {
        int64_t count = db_int(rows, 0, i);
        if (!count)
            continue;
        loss->kinds[loss->len].rows = count;
        loss->kinds[loss->len].one = holder->kinds[i].one;
        loss->kinds[loss->len++].many = holder->kinds[i].many;
    }
    db_result_free(rows);
    return 0;
}

void migrate_loss_text(const struct migrate_loss *loss, char *ret, size_t size)
{
    size_t at = 0;
    *ret = '\0';
    for (int i = 0; i < loss->len && at < size; i++)
        at += (size_t)snprintf(ret + at, size - at, "%s%lld %s", i ? ", " : "", (long long)loss->kinds[i].rows,
                               loss->kinds[i].rows == 1 ? loss->kinds[i].one : loss->kinds[i].many);
}

int migrate_loss_refuse(const struct migrate_loss *loss, struct error *e)
{
    char what[ERROR_TEXT_MAX / 2];
    migrate_loss_text(loss, what, sizeof what);
    return error_set(e, -ENOTEMPTY, "refused: %s would be dropped; --force drops them", what);
}

int migrate_loss_forbid(struct db_conn *conn, int version, struct error *e)
{
    const struct holder *holder = find(version);
    struct migrate_loss loss = {0};
    int r = holder ? db_script(conn, holder->lock, e) : 0;
    if (r == 0)
        r = migrate_loss_count(conn, version, &loss, e);
    if (r < 0)
        return r;
    return loss.len ? migrate_loss_refuse(&loss, e) : 1;
}
