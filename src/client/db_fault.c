#include "client/db_fault.h"

#include <stddef.h>
#include <string.h>

/* The first row whose prefix fits counts. PostgreSQL documentation, Appendix A. */
static const struct db_sqlstate sqlstates[] = {
    {"08P01", DB_MALFORMED, "protocol violation, malformed result", NULL},
    {"08", DB_UNREACHABLE, "connection exception", NULL},
    {"0A000", DB_REPEAT, "a prepared statement is out of date", NULL}, /* "cached plan must not change result type" */
    {"22P05", DB_BAD_ENCODING, "untranslatable character",
     "the database's encoding cannot hold it: use a database in UTF8"},
    {"22021", DB_BAD_ENCODING, "character not in repertoire",
     "the database's encoding cannot hold it: use a database in UTF8"},
    {"22", DB_BAD_VALUE, "a value that does not fit", NULL},
    {"23505", DB_DUPLICATE, "unique violation", NULL},
    {"23", DB_CONSTRAINT, "another constraint is violated", NULL},
    {"25006", DB_READ_ONLY, "read-only transaction, standby",
     "the database is read-only: DATABASE_URL must name the primary server, or the provider has closed the database "
     "for "
     "writing (quota)"},
    {"25", DB_NOT_COMMITTED, "wrong transaction state",
     "the statement was left in an open transaction: a proxy between Perdura and PostgreSQL began one; connect to the "
     "server directly"},
    {"26000", DB_REPEAT, "the prepared statement is gone (pooler)", NULL},
    {"28", DB_UNREACHABLE, "role or password refused",
     "the database refuses the role or its password: correct DATABASE_URL"},
    {"3F000", DB_NO_TABLES, "no schema",
     "the role has no schema to work in: set search_path, for example ALTER ROLE ... SET search_path = public"},
    {"40", DB_REPEAT, "serialization failure, deadlock", NULL},
    {"42501", DB_NO_PRIVILEGE, "a privilege is missing",
     "the role of DATABASE_URL lacks a privilege: GRANT it, see docs/deploy.md"},
    {"42P01", DB_NO_TABLES, "a table is missing",
     "Perdura's tables are not in the schemas of search_path: run `perdura migrate`, or correct search_path"},
    {"42703", DB_NO_TABLES, "a column is missing", "the database has older Perdura tables: run `perdura migrate`"},
    {"42P05", DB_REPEAT, "the prepared statement exists already (pooler)", NULL},
    {"53100", DB_FULL, "disk full", "the database server's disk or quota is full: free space or enlarge the plan"},
    {"53300", DB_UNREACHABLE, "too many connections",
     "the database server has no free connection: lower PERDURA_DB_POOL or raise the plan's limit"},
    {"53", DB_BUSY, "out of memory, another limit of the server", NULL},
    {"54", DB_BAD_VALUE, "a limit of PostgreSQL is exceeded", NULL},
    {"55P03", DB_LOCKED, "lock not available", "another transaction locks it"},
    {"57014", DB_CANCELED, "statement canceled, statement_timeout", "the server canceled the statement"},
    {"57P", DB_UNREACHABLE, "shut down, crashed, starting up, dropped", NULL},
    {"58", DB_INTERNAL, "I/O error of the server", "the database server has an error of its own: see its log"},
    {"XX", DB_INTERNAL, "internal error, damaged data", "the database server has an error of its own: see its log"},
    {"", DB_REFUSED, "any other", NULL},
};

/* Two kinds do not split a batch: a lost connection would be lost once for each statement, and a read-only server
 * refuses each alike. The other states of the whole database may in truth be caused by one row (a trigger of the user's
 * that raises 42501); whoever splits the batch stops after two statements that failed alike (tier_db_writer). */
static const struct fault {
    enum db_code code;
    enum db_state state;
    int splits;
    enum db_retry retry;
    int http;
    enum log_level level;
} faults[] = {
    {DB_UNREACHABLE, DB_STATE_UNREACHABLE, 0, DB_RETRY_DATABASE, 503, LOG_WARN},
    {DB_TIMEOUT, DB_STATE_UNREACHABLE, 0, DB_RETRY_DATABASE, 503, LOG_WARN},
    {DB_READ_ONLY, DB_STATE_READ_ONLY, 0, DB_RETRY_DATABASE, 503, LOG_WARN},
    {DB_FULL, DB_STATE_FULL, 1, DB_RETRY_DATABASE, 503, LOG_ERROR},
    {DB_NO_PRIVILEGE, DB_STATE_NO_PRIVILEGE, 1, DB_RETRY_DATABASE, 503, LOG_ERROR},
    {DB_ROW_SECURITY, DB_STATE_ROW_SECURITY, 1, DB_RETRY_DATABASE, 503, LOG_ERROR},
    {DB_NO_TABLES, DB_STATE_NO_TABLES, 1, DB_RETRY_DATABASE, 503, LOG_ERROR},
    {DB_NOT_COMMITTED, DB_STATE_NOT_COMMITTED, 1, DB_RETRY_DATABASE, 503, LOG_ERROR},
    {DB_REPEAT, DB_STATE_UP, 1, DB_RETRY_AT_ONCE, 503, LOG_WARN},
    {DB_LOCKED, DB_STATE_UP, 1, DB_RETRY_ITEM, 503, LOG_WARN},
    {DB_CANCELED, DB_STATE_UP, 1, DB_RETRY_ITEM, 503, LOG_WARN},
    {DB_BUSY, DB_STATE_UP, 1, DB_RETRY_ITEM, 503, LOG_WARN},
    {DB_DUPLICATE, DB_STATE_UP, 1, DB_RETRY_NEVER, 409, LOG_WARN},
    {DB_CONSTRAINT, DB_STATE_UP, 1, DB_RETRY_NEVER, 409, LOG_WARN},
    {DB_BAD_VALUE, DB_STATE_UP, 1, DB_RETRY_NEVER, 400, LOG_WARN},
    {DB_BAD_ENCODING, DB_STATE_UP, 1, DB_RETRY_NEVER, 400, LOG_WARN},
    {DB_REFUSED, DB_STATE_UP, 1, DB_RETRY_ITEM, 500, LOG_ERROR},
    {DB_INTERNAL, DB_STATE_UP, 1, DB_RETRY_ITEM, 503, LOG_ERROR},
    {DB_MALFORMED, DB_STATE_UP, 1, DB_RETRY_ITEM, 503, LOG_ERROR},
};

static const struct fault other = {.splits = 1, .retry = DB_RETRY_ITEM, .level = LOG_WARN};

static const struct fault *find(int code)
{
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if ((int)faults[i].code == code)
            return &faults[i];
    return &other;
}

const char *db_state_name(enum db_state state)
{
    static const char *const names[] = {
        [DB_STATE_UP] = "up",
        [DB_STATE_UNREACHABLE] = "unreachable",
        [DB_STATE_READ_ONLY] = "read-only",
        [DB_STATE_FULL] = "full",
        [DB_STATE_NO_PRIVILEGE] = "missing privilege",
        [DB_STATE_ROW_SECURITY] = "row level security",
        [DB_STATE_NO_TABLES] = "no tables",
        [DB_STATE_NOT_COMMITTED] = "not committed",
        [DB_STATE_FAILING] = "failing",
    };
    return names[state];
}

const char *db_retry_name(enum db_retry retry)
{
    static const char *const names[] = {
        [DB_RETRY_DATABASE] = "database",
        [DB_RETRY_ITEM] = "item",
        [DB_RETRY_AT_ONCE] = "at once",
        [DB_RETRY_NEVER] = "never",
    };
    return names[retry];
}

int db_fault_skipped(struct error *e)
{
    return error_set_sentence(
        e, DB_CONSTRAINT,
        "database stored no row: a trigger or a rule on the table image_cache skips it without an error");
}

enum db_state db_fault_state(int code)
{
    return find(code)->state;
}

int db_fault_splits(int code)
{
    return find(code)->splits;
}

enum db_retry db_fault_retry(int code)
{
    return find(code)->retry;
}

enum log_level db_fault_level(int code)
{
    return find(code)->level;
}

int db_fault_http(int code)
{
    return find(code)->http;
}

const struct db_sqlstate *db_sqlstate_row(int index)
{
    return (size_t)index < sizeof sqlstates / sizeof *sqlstates ? &sqlstates[index] : NULL;
}

const struct db_sqlstate *db_sqlstate_find(const char *sqlstate)
{
    const struct db_sqlstate *row = sqlstates;
    while (strncmp(sqlstate, row->prefix, strlen(row->prefix)) != 0)
        row++;
    return row;
}
