#include "client/db_result.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "client/db.h"
#include "client/db_fault.h"
#include "client/db_wire.h"
#include "sql.h"

#define ROW_SECURITY_ADVICE                                                                                            \
    "row level security applies to role \"%s\" and would hide stored files: ALTER TABLE ... DISABLE ROW LEVEL "        \
    "SECURITY for Perdura's tables, or ALTER ROLE ... BYPASSRLS"

/* Errors */

/* Row level security has no SQLSTATE of its own. Messages are translated, names of functions are not. */
static int is_row_security(const PGresult *res)
{
    const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);
    return function && (strcmp(function, "check_enable_rls") == 0 || strcmp(function, "ExecWithCheckOptions") == 0);
}

int db_result_is_fatal(const PGresult *res)
{
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    return severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

int db_result_is(const PGresult *res, const char *sqlstate)
{
    const char *is = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    return is && strcmp(is, sqlstate) == 0;
}

int db_result_error(const PGresult *res, const PGconn *pq, const struct sql_query *query, struct error *e)
{
    const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    const char *message = primary ? primary : PQresultErrorMessage(res);
    const struct db_sqlstate *row = db_sqlstate_find(sqlstate ? sqlstate : "");
    const char *role = PQuser(pq);

    if (!sqlstate)
        return error_set_sentence(e, DB_MALFORMED, "the database server sent an error without SQLSTATE: %.*s",
                                  DB_FIRST_LINE(message));
    if (db_result_is_fatal(res) && db_fault_state(row->code) == DB_STATE_UP)
        return error_set_sentence(e, DB_UNREACHABLE, "the database server closed the connection: %.*s [%s]",
                                  DB_FIRST_LINE(message), sqlstate);
    if (row->code == DB_NO_PRIVILEGE && is_row_security(res))
        return error_set_sentence(e, DB_ROW_SECURITY, ROW_SECURITY_ADVICE " (%.*s)", role ? role : "",
                                  DB_FIRST_LINE(message));
    if (row->advice)
        return error_set_sentence(e, row->code, "%s (%.*s)", row->advice, DB_FIRST_LINE(message));
    if (db_fault_state(row->code) != DB_STATE_UP)
        return error_set_sentence(e, row->code, "database: %.*s", DB_FIRST_LINE(message));
    return error_set_sentence(e, row->code, "database refused %s: %.*s%s%.*s [%s]",
                              query ? query->name : "the statement", DB_FIRST_LINE(message), detail ? ": " : "",
                              DB_FIRST_LINE(detail ? detail : ""), sqlstate);
}

/* Results */

static int refuse(const struct sql_query *query, struct error *e, const char *why, int number)
{
    return error_set_sentence(
        e, DB_MALFORMED,
        "the database server answered %s with a malformed result (%s, %d): check the proxy or pooler between "
        "Perdura and PostgreSQL",
        query->name, why, number);
}

/* The length of a value of this type; -1: any. */
static int length_of(unsigned type)
{
    switch (type) {
    case 16: /* bool */
        return 1;
    case 21: /* smallint */
        return 2;
    case 23: /* int */
        return 4;
    case DB_INT8:
    case DB_TIMESTAMPTZ:
        return 8;
    case 2278: /* void */
        return 0;
    default:
        return -1;
    }
}

static int check_columns(const PGresult *res, const struct sql_query *query, struct error *e)
{
    if (PQnfields(res) != query->columns_len)
        return refuse(query, e, "number of columns", PQnfields(res));
    for (int i = 0; i < query->columns_len; i++) {
        if (PQftype(res, i) != query->columns[i].type)
            return refuse(query, e, "type of column", i + 1);
        if (PQfformat(res, i) != 1)
            return refuse(query, e, "text format in column", i + 1);
    }
    return 0;
}

static int check_values(const PGresult *res, const struct sql_query *query, struct error *e)
{
    int rows = PQntuples(res);
    for (int col = 0; col < query->columns_len; col++) {
        const struct sql_column *column = &query->columns[col];
        int length = length_of(column->type);
        for (int row = 0; row < rows; row++) {
            if (PQgetisnull(res, row, col)) {
                if (!column->nullable)
                    return refuse(query, e, "null in column", col + 1);
                continue;
            }
            if (length >= 0 && PQgetlength(res, row, col) != length)
                return refuse(query, e, "length of a value in column", col + 1);
        }
    }
    return 0;
}

int db_result_check(const PGresult *res, const struct sql_query *query, struct error *e)
{
    ExecStatusType expected = query->columns_len ? PGRES_TUPLES_OK : PGRES_COMMAND_OK;
    size_t len = strlen(query->command);
    const char *tag = PQcmdStatus((PGresult *)res);
    if (PQresultStatus(res) != expected)
        return refuse(query, e, "kind of result", (int)PQresultStatus(res));
    if (strncmp(tag, query->command, len) != 0 || tag[len] != ' ')
        return refuse(query, e, "command", 0);
    if (PQntuples(res) < query->rows_min || PQntuples(res) > query->rows_max)
        return refuse(query, e, "number of rows", PQntuples(res));
    int r = check_columns(res, query, e);
    return r < 0 ? r : check_values(res, query, e);
}

/* Values */

static const PGresult *rows_of(const struct db_result *r)
{
    return (const PGresult *)r;
}

int db_rows(const struct db_result *r)
{
    return PQntuples(rows_of(r));
}

int db_is_null(const struct db_result *r, int row, int col)
{
    return PQgetisnull(rows_of(r), row, col);
}

const char *db_text(const struct db_result *r, int row, int col)
{
    return db_is_null(r, row, col) ? NULL : PQgetvalue(rows_of(r), row, col);
}

const void *db_bytes(const struct db_result *r, int row, int col, size_t *ret_n)
{
    *ret_n = (size_t)PQgetlength(rows_of(r), row, col);
    return PQgetvalue(rows_of(r), row, col);
}

int64_t db_int(const struct db_result *r, int row, int col)
{
    const unsigned char *at = (const unsigned char *)PQgetvalue(rows_of(r), row, col);
    int n = PQgetlength(rows_of(r), row, col);
    if (n <= 0 || n > 8)
        return 0;
    uint64_t value = n > 1 && at[0] & 0x80 ? UINT64_MAX : 0; /* sign; a bool is one byte of 0 or 1 */
    for (int i = 0; i < n; i++)
        value = value << 8 | at[i];
    return (int64_t)value;
}

int64_t db_time(const struct db_result *r, int row, int col)
{
    return db_is_null(r, row, col) ? 0 : db_int(r, row, col) + DB_EPOCH_US;
}

void db_result_free(struct db_result *r)
{
    PQclear((PGresult *)r);
}
