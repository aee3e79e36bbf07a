#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/atime.h"

/* As in /proc/self/mountinfo. */
#define MOUNTS                                                                                                         \
    "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"                                                          \
    "30 21 8:2 / /srv/app rw,noatime shared:2 - ext4 /dev/sda2 rw\n"                                                   \
    "31 21 8:3 / /srv/my\\040media/in rw,nosuid,noatime shared:3 - ext4 /dev/sda3 rw\n"                                \
    "32 21 8:4 / /srv/other rw,nodiratime,relatime,xnoatime shared:4 - ext4 /dev/sda4 rw\n"                            \
    "bad line\n"                                                                                                       \
    "33 21 8:5 / /var/last noatime"

static const struct {
    const char *root, *point; /* NULL: none */
} cases[] = {
    {"/srv/app", "/srv/app"}, {"/srv", "/srv/app"},
    {"/srv/app/media", NULL}, /* it is the probe that finds this */
    {"/srv/ap", NULL},        {"/srv/my media", "/srv/my media/in"},
    {"/srv/other", NULL},     {"/var/last", "/var/last"},
    {"/home", NULL},          {"/", "/srv/app"},
};

static void test_mounts(void **state)
{
    char point[256];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int found = atime_mount(MOUNTS, cases[i].root, point, sizeof point);
        assert_int_equal(found, cases[i].point != NULL);
        if (found)
            assert_string_equal(point, cases[i].point);
    }
    assert_int_equal(atime_mount("", "/", point, sizeof point), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mounts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
