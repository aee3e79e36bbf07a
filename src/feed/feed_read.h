/* Reading what has changed since the last time.
 *
 * The cursor is a snapshot (pg_snapshot): what was visible in it is known. A round reads the rows of the transactions
 * that were under way in it, and of all that have begun since, and the snapshot that was taken before those reads
 * becomes the cursor. So no commit is missed, however late, and none is read again and again because a transaction that
 * stays open for hours holds xmin back: of that one's company, only its own rows are still asked for. A row that is
 * changed again moves to the end of the order, so pages miss nothing either. */
#ifndef FEED_FEED_READ_H
#define FEED_FEED_READ_H

#include "client/db.h"
#include "store/store.h"

struct feed_cursor {
    char *snapshot; /* NULL: none yet */
    int64_t xmax;   /* its end */
    int64_t table;  /* OID of the table that it is about */
};

void feed_cursor_release(struct feed_cursor *c);

/* Whether a read that nothing asks for can be left out: no transaction has changed anything since the cursor. 0 when
 * that is so, 1 when not, or why it is not known. */
int feed_is_due(const struct feed_cursor *c, struct db_conn *conn, struct error *e) __attribute__((warn_unused_result));

/* Reads a round and tells the store of each change. Without a cursor it starts here. So it does where the database
 * turns out to be another one (its transactions are not as far as they were, the table was made anew), and everything
 * is forgotten. *ret_stale: there are files to be replaced. -EAGAIN: there are too many; what is left is read again by
 * the next round. */
int feed_read(struct feed_cursor *c, struct db_conn *conn, struct store *store, int *ret_stale, struct error *e)
    __attribute__((warn_unused_result));

#endif
