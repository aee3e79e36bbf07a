/* The codes of failures of the database, and what each of them means for the caller: whether other statements fail too,
 * when to try again, and how to report it.
 *
 * One table maps the server's SQLSTATE to a code, another one gives the consequences of each code. The section
 * "When the database fails" of docs/architecture.md shows both as one table; a unit test compares them. */
#ifndef CLIENT_DB_FAULT_H
#define CLIENT_DB_FAULT_H

#include <errno.h>

#include "base/error.h"
#include "base/log.h"

/* Most of them are errno values that no operation on files or sockets returns: also far above this layer, such a code
 * says that the database is meant and not, for example, a full disk of this machine. */
enum db_code {
    DB_UNREACHABLE = -ENOTCONN,      /* or the connection was lost: what was in flight may or may not have happened */
    DB_TIMEOUT = -ETIMEDOUT,         /* no answer in time; the connection is closed */
    DB_READ_ONLY = -EADV,            /* a standby, or default_transaction_read_only */
    DB_FULL = -EXFULL,               /* the server's disk, or the quota of the plan */
    DB_NO_PRIVILEGE = -EKEYREJECTED, /* a GRANT is missing */
    DB_ROW_SECURITY = -EKEYREVOKED,  /* row level security applies to our role */
    DB_NO_TABLES = -ENOMEDIUM,       /* tables or columns are missing */
    DB_NOT_COMMITTED = -EINPROGRESS, /* the statement was left in an open transaction; the connection is closed */
    DB_REPEAT = -EAGAIN,             /* lost against another transaction, or not confirmed by the standby */
    DB_LOCKED = -ENOLCK,             /* another transaction held a lock for longer than lock_timeout */
    DB_CANCELED = -ETIME,            /* by statement_timeout or by an administrator */
    DB_BUSY = -EUSERS,               /* the server lacks memory or another resource */
    DB_DUPLICATE = -ENOTUNIQ,        /* violates a unique constraint */
    DB_CONSTRAINT = -EDOM,           /* violates another constraint */
    DB_BAD_VALUE = -EINVAL,          /* a value that no column can hold */
    DB_BAD_ENCODING = -EILSEQ,       /* a text that the database's encoding cannot hold */
    DB_REFUSED = -EBADRQC,           /* any other refusal */
    DB_INTERNAL = -ECOMM,            /* the server reports damaged data, an I/O error or a bug */
    DB_MALFORMED = -EUNATCH,         /* a message or a result violates the protocol; the connection is closed */
};

/* States of the database that an operator must act on; a failure of one statement alone is DB_STATE_UP. Where every
 * statement fails for such a reason, a lock on a table for example, its callers call that DB_STATE_FAILING. */
enum db_state {
    DB_STATE_UP,
    DB_STATE_UNREACHABLE,
    DB_STATE_READ_ONLY,
    DB_STATE_FULL,
    DB_STATE_NO_PRIVILEGE,
    DB_STATE_ROW_SECURITY,
    DB_STATE_NO_TABLES,
    DB_STATE_NOT_COMMITTED,
    DB_STATE_FAILING,
};

/* "up", "unreachable", "read-only", "full", "missing privilege", "row level security", "no tables", "not committed",
 * "failing": as in status, /ready and the log. Static. */
const char *db_state_name(enum db_state state);

enum db_retry {
    DB_RETRY_DATABASE, /* after the back-off of the whole database: any other statement would fail, too */
    DB_RETRY_ITEM,     /* this statement alone, after its own back-off; others are not delayed */
    DB_RETRY_AT_ONCE,  /* a few times at once, then as DB_RETRY_ITEM */
    DB_RETRY_NEVER,    /* not before the content or the database's definition changes */
};

/* Of any negative errno: one that is not an enum db_code is DB_STATE_UP, is split, and is retried as an item. */
enum db_state db_fault_state(int code);
int db_fault_splits(int code); /* whether a batch that failed with it is sent again, statement by statement */
enum db_retry db_fault_retry(int code);
enum log_level db_fault_level(int code); /* of the line that reports it */

/* The HTTP status; 0 for a code that is not an enum db_code. */
int db_fault_http(int code);

/* A statement succeeded and wrote no row although nothing stands in its way. Sets e; DB_CONSTRAINT. */
int db_fault_skipped(struct error *e);

/* Rows of the table of SQLSTATEs, for documentation and tests. NULL behind the last one. */
struct db_sqlstate {
    char prefix[6]; /* "08": a class; "57P01": one condition; "": any other */
    enum db_code code;
    const char *meaning;
    const char *advice; /* what to do; NULL: the server's message says it */
};

const struct db_sqlstate *db_sqlstate_row(int index);

/* The row of a SQLSTATE. Never NULL. */
const struct db_sqlstate *db_sqlstate_find(const char *sqlstate);

const char *db_retry_name(enum db_retry retry);

#endif
