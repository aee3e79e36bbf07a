#include "client/db_fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DOCUMENT  "docs/architecture.md"
#define LINE_SIZE 512

/* What managed servers and poolers return in practice: each has to be decided, none by the last row. */
static void every_usual_sqlstate_has_a_row(void **state)
{
    static const char *const usual[] = {
        "08000", "08003", "08006", "08P01", "22021", "22P05", "22001", "23502", "23503", "23505",
        "23514", "25006", "25P02", "25P03", "26000", "28000", "28P01", "3F000", "40001", "40P01",
        "42501", "42703", "42P01", "42P05", "53000", "53100", "53200", "53300", "54000", "55P03",
        "57014", "57P01", "57P02", "57P03", "57P04", "57P05", "58030", "XX000", "XX001", "XX002",
    };
    (void)state;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (!db_sqlstate_find(usual[i])->prefix[0])
            fail_msg("%s has no row", usual[i]);
    assert_int_equal(db_sqlstate_find("99999")->code, DB_REFUSED);
    assert_int_equal(db_sqlstate_find("")->code, DB_REFUSED);
}

/* A prefix behind a shorter one that begins it would never be found. */
static void every_row_is_found(void **state)
{
    const struct db_sqlstate *row;
    (void)state;
    for (int i = 0; (row = db_sqlstate_row(i)); i++)
        assert_ptr_equal(db_sqlstate_find(row->prefix), row);
}

static void foreign_codes_are_not_the_databases(void **state)
{
    static const int foreign[] = {-ENOSPC, -EROFS, -EACCES, -EPERM, -EIO, -ENOENT, -EXDEV, -EFBIG, -ENXIO, -ENODATA};
    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        assert_int_equal(db_fault_http(foreign[i]), 0);
        assert_int_equal(db_fault_state(foreign[i]), DB_STATE_UP);
    }
}

/* A batch is split on every error but a lost connection and a read-only server. */
static void a_batch_is_split_wherever_one_statement_may_be_the_reason(void **state)
{
    const struct db_sqlstate *row;
    (void)state;
    for (int i = 0; (row = db_sqlstate_row(i)); i++) {
        enum db_state is = db_fault_state(row->code);
        assert_int_equal(db_fault_splits(row->code), is != DB_STATE_UNREACHABLE && is != DB_STATE_READ_ONLY);
        assert_int_equal(db_fault_retry(row->code) == DB_RETRY_DATABASE, is != DB_STATE_UP);
        if (is != DB_STATE_UP)
            assert_int_equal(db_fault_http(row->code), 503);
    }
}

static void print_row(char line[LINE_SIZE], const struct db_sqlstate *row)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    (void)snprintf(line, LINE_SIZE, "| %s | %s | %s | %s | %s | %d | %s |", row->prefix[0] ? row->prefix : "other",
                   row->meaning, db_state_name(db_fault_state(row->code)), db_fault_splits(row->code) ? "yes" : "no",
                   db_retry_name(db_fault_retry(row->code)), db_fault_http(row->code),
                   levels[db_fault_level(row->code)]);
}

static void the_document_shows_the_table(void **state)
{
    static char text[1 << 20];
    const struct db_sqlstate *row;
    FILE *file = fopen(DOCUMENT, "r");
    const char *at = text;
    (void)state;
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    for (int i = 0; (row = db_sqlstate_row(i)); i++) {
        char line[LINE_SIZE];
        print_row(line, row);
        at = strstr(at, line);
        if (!at)
            fail_msg(DOCUMENT " lacks, or has in another place: %s", line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_usual_sqlstate_has_a_row),
        cmocka_unit_test(every_row_is_found),
        cmocka_unit_test(foreign_codes_are_not_the_databases),
        cmocka_unit_test(a_batch_is_split_wherever_one_statement_may_be_the_reason),
        cmocka_unit_test(the_document_shows_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
