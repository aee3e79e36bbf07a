#include "config/conninfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof(array)[0])

static bool is_known(const char *name)
{
    static const char *const known[] = {"host",           "port",    "user",
                                        "password",       "dbname",  "sslmode",
                                        "sslrootcert",    "options", "target_session_attrs",
                                        "connect_timeout"};
    for (size_t i = 0; i < LEN(known); i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return false;
}

static const struct {
    const char *text, *adapted, *warning;
} cases[] = {
    /* What libpq takes stays as it is. */
    {"postgresql://u:p@h:5432/db?sslmode=require", "postgresql://u:p@h:5432/db?sslmode=require", ""},
    {"postgresql://h1:1,[::1]:2,h3/db?target_session_attrs=read-write",
     "postgresql://h1:1,[::1]:2,h3/db?target_session_attrs=read-write", ""},
    {"postgresql:///db?host=/run/pg&port=5433", "postgresql:///db?host=/run/pg&port=5433", ""},
    {"postgresql://u:p%40%2Fx@%2Frun%2Fpg/db", "postgresql://u:p%40%2Fx@%2Frun%2Fpg/db", ""},
    {"postgresql://", "postgresql://", ""},
    {"host=h password='a b' dbname=db", "host=h password='a b' dbname=db", ""},
    /* Schemes of others. */
    {"postgres://h/db", "postgresql://h/db", ""},
    {"POSTGRES://h/db", "postgresql://h/db", ""},
    {"postgis://u@h/db", "postgresql://u@h/db", ""},
    {"postgresql+psycopg2://u:p@h/db", "postgresql://u:p@h/db", ""},
    {"postgres+asyncpg://u:p@h/db?ssl=require", "postgresql://u:p@h/db?sslmode=require", ""},
    {"postgresql+psycopg2:///db?host=/run/pg", "postgresql:///db?host=/run/pg", ""},
    {"jdbc:postgresql://h:1/db?user=u&password=p&ssl=true", "postgresql://h:1/db?user=u&password=p&sslmode=require",
     ""},
    {"ecto://u:p@h/db?ssl=false", "postgresql://u:p@h/db?sslmode=prefer", ""},
    /* Parameters of others. */
    {"postgresql://h/db?pool=5", "postgresql://h/db", "dropped pool"},
    {"postgresql://h/db?pool=5&pgbouncer=true&sslrootcert=/ca.pem&schema=shop&connection_limit=3",
     "postgresql://h/db?sslrootcert=/ca.pem",
     "dropped pool, dropped pgbouncer, dropped schema, dropped connection_limit"},
    {"postgresql://h/db?reconnect", "postgresql://h/db", "dropped reconnect"},
    {"postgresql://h/db?&sslmode=require&", "postgresql://h/db?sslmode=require", ""},
    {"postgresql://h/db?options=project=x", "postgresql://h/db?options=project%3Dx", ""},
    {"host=h pool=5 dbname=db schema='a b'", "host=h dbname=db", "dropped pool, dropped schema"},
    /* Modes of TLS that libpq has not never end encryption. */
    {"postgres://h/db?sslmode=no-verify", "postgresql://h/db?sslmode=require",
     "taken as sslmode=require: sslmode=no-verify"},
    {"postgres://h/db?sslmode=VERIFY-FULL", "postgresql://h/db?sslmode=verify-full", ""},
    {"postgres://h/db?sslmode=", "postgresql://h/db?sslmode=require", "taken as sslmode=require: sslmode=***"},
    {"host=h sslmode=no-verify", "host=h sslmode=require", "taken as sslmode=require: sslmode=no-verify"},
    {"host=h sslmode='verify-ca'", "host=h sslmode=verify-ca", ""},
    /* Passwords that were not encoded. */
    {"postgres://u:a%b@h/db", "postgresql://u:a%25b@h/db", ""},
    {"postgres://u:a%@h/db", "postgresql://u:a%25@h/db", ""},
    {"postgres://u:a%zz%41@h/db", "postgresql://u:a%25zz%41@h/db", ""},
    {"postgres://u:a@b@h/db", "postgresql://u:a%40b@h/db", ""},
    {"postgres://u:a?b@h/db", "postgresql://u:a%3Fb@h/db", ""},
    /* What may be the tail of a password is not shown. */
    {"postgres://h/db?hush@h=1", "postgresql://h/db", "dropped ***"},
    {"postgres://h/db?hu sh=1", "postgresql://h/db", "dropped ***"},
};

static void adapts_what_other_drivers_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(cases); i++) {
        struct buf out, warning;
        buf_init(&out, 10000);
        buf_init(&warning, 10000);
        assert_int_equal(conninfo_adapt(cases[i].text, is_known, &out, &warning), 0);
        if (strcmp(out.data, cases[i].adapted) != 0)
            fail_msg("%s: %s", cases[i].text, out.data);
        if (strcmp(warning.len ? warning.data : "", cases[i].warning) != 0)
            fail_msg("%s: warning %s", cases[i].text, warning.len ? warning.data : "");
        buf_release(&out);
        buf_release(&warning);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapts_what_other_drivers_write),
    };
    return cmocka_run_group_tests_name("conninfo", tests, NULL, NULL);
}
