#include "codec/password.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof(array)[0])

/* RFC 7914 section 12, its third vector: "pleaseletmein", salt "SodiumChloride", N 16384, r 8, p 1, 64 bytes. */
#define RFC_SALT "U29kaXVtQ2hsb3JpZGU"
#define RFC_KEY  "cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw"

static void test_rfc_vector(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "scrypt$16384$8$1$" RFC_SALT "$" RFC_KEY,
        "scrypt$16384$8$1$" RFC_SALT "=$" RFC_KEY "==",
        "$scrypt$ln=14,r=8,p=1$" RFC_SALT "$" RFC_KEY,
    };
    for (size_t i = 0; i < LEN(settings); i++) {
        assert_int_equal(password_check_setting(settings[i]), 0);
        assert_int_equal(password_matches(settings[i], "pleaseletmein"), 1);
        assert_int_equal(password_matches(settings[i], "pleaseletmeim"), 0);
        assert_int_equal(password_matches(settings[i], ""), 0);
        assert_int_equal(password_matches(settings[i], settings[i]), 0);
    }
}

#define SALT "c2FsdHNhbHQ"
#define KEY  "AAAAAAAAAAAAAAAAAAAAAA"

static const struct {
    const char *setting;
    int answer;
} settings[] = {
    {"plain", 0},
    {"x", 0},
    {"Scrypt$1", 0},
    {"scrypt", 0},
    {"$2b$12$abc", 0},
    {"scrypt$1024$1$1$" SALT "$" KEY, 0},
    {"$scrypt$ln=10,r=1,p=1$" SALT "$" KEY, 0},
    {"scrypt$", -EINVAL},
    {"$scrypt$", -EINVAL},
    {"scrypt$hello", -EINVAL},
    {"scrypt$1000$8$1$" SALT "$" KEY, -EINVAL},          /* no power of two */
    {"scrypt$0$8$1$" SALT "$" KEY, -EINVAL},             /* nor this */
    {"scrypt$512$8$1$" SALT "$" KEY, -EINVAL},           /* too cheap */
    {"scrypt$1048576$8$1$" SALT "$" KEY, -EINVAL},       /* 1 GiB */
    {"scrypt$262144$8$1$" SALT "$" KEY, 0},              /* 256 MiB */
    {"scrypt$262144$8$5$" SALT "$" KEY, -EINVAL},        /* gone over too often */
    {"scrypt$16384$0$1$" SALT "$" KEY, -EINVAL},         /* no r */
    {"scrypt$16384$8$0$" SALT "$" KEY, -EINVAL},         /* no p */
    {"scrypt$16384$8$17$" SALT "$" KEY, -EINVAL},        /* too many */
    {"scrypt$16384$8$$" SALT "$" KEY, -EINVAL},          /* no number */
    {"scrypt$16384$8$-1$" SALT "$" KEY, -EINVAL},        /* likewise */
    {"scrypt$99999999999$8$1$" SALT "$" KEY, -EINVAL},   /* out of range */
    {"scrypt$16384$8$1$c2FsdA$" KEY, -EINVAL},           /* a salt of 4 bytes */
    {"scrypt$16384$8$1$" SALT "$AAAA", -EINVAL},         /* a key of 3 bytes */
    {"scrypt$16384$8$1$" SALT "$", -EINVAL},             /* none */
    {"scrypt$16384$8$1$" SALT, -EINVAL},                 /* nor here */
    {"scrypt$16384$8$1$" SALT "$" KEY "$", -EINVAL},     /* something behind it */
    {"scrypt$16384$8$1$" SALT "$" KEY " ", -EINVAL},     /* likewise */
    {"scrypt$16384$8$1$sa_tsa-t$" KEY, -EINVAL},         /* another alphabet */
    {"$scrypt$r=8,ln=14,p=1$" SALT "$" KEY, -EINVAL},    /* another order */
    {"$scrypt$ln=14,r=8$" SALT "$" KEY, -EINVAL},        /* no p */
    {"$scrypt$ln=64,r=8,p=1$" SALT "$" KEY, -EINVAL},    /* no shift */
    {"$scrypt$ln=14,r=8,p=1,x=1$" SALT "$" KEY, -EINVAL} /* an unknown one */
};

static void test_settings(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(settings); i++)
        if (password_check_setting(settings[i].setting) != settings[i].answer)
            fail_msg("case %zu: %s", i, settings[i].setting);
    assert_int_equal(password_matches("scrypt$hello", "scrypt$hello"), -EINVAL);
}

static void test_plain(void **state)
{
    (void)state;
    assert_int_equal(password_matches("correct horse", "correct horse"), 1);
    assert_int_equal(password_matches("correct horse", "correct hors"), 0);
    assert_int_equal(password_matches("correct horse", "correct horse "), 0);
    assert_int_equal(password_matches("correct horse", "Correct horse"), 0);
    assert_int_equal(password_matches("correct horse", ""), 0);
}

static void test_hash(void **state)
{
    (void)state;
    char one[PASSWORD_HASH_SIZE], other[PASSWORD_HASH_SIZE];
    assert_int_equal(password_hash(one, "pässwörd"), 0);
    assert_int_equal(password_hash(other, "pässwörd"), 0);
    assert_string_not_equal(one, other);
    assert_true(strlen(one) < PASSWORD_HASH_SIZE - 1);
    assert_int_equal(password_check_setting(one), 0);
    assert_int_equal(password_matches(one, "pässwörd"), 1);
    assert_int_equal(password_matches(other, "pässwörd"), 1);
    assert_int_equal(password_matches(one, "passwörd"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_vector),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
