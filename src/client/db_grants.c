#include "client/db_grants.h"

#include "client/db_fault.h"
#include "sql.h"

int db_name_grants(struct db_conn *conn, int code, struct error *e)
{
    struct db_result *rows;
    if (!e || (code != DB_NO_PRIVILEGE && code != DB_NO_TABLES) ||
        db_query(conn, &sql_missing_grants, NULL, &rows, NULL) < 0)
        return code;
    if (!db_is_null(rows, 0, 0))
        code = error_set_sentence(e, DB_NO_PRIVILEGE, "the role of DATABASE_URL lacks a privilege: %s",
                                  db_text(rows, 0, 0));
    db_result_free(rows);
    return code;
}
