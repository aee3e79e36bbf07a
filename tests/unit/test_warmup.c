#include "job/warmup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct row {
    const char *what;
    int64_t most;
    struct warmup_demand demands[3];
    int64_t places[3];
} rows[] = {
    {"nothing is there", 10, {{5, 0}, {0, 0}, {0, 0}}, {0, 0, 0}},
    {"no places", 0, {{5, 5}, {0, 5}, {0, 0}}, {0, 0, 0}},
    {"everything fits", 100, {{0, 7}, {900, 8}, {1, 9}}, {7, 8, 9}},
    {"nothing is known", 9, {{0, 100}, {0, 100}, {0, 100}}, {3, 3, 3}},
    {"by requests", 10, {{299, 100}, {199, 100}, {0, 0}}, {6, 4, 0}},
    {"all of one, the rest to others", 10, {{9999, 4}, {299, 100}, {299, 100}}, {4, 3, 3}},
    {"what nobody asks for comes last", 10, {{100, 100}, {0, 100}, {100, 100}}, {5, 0, 5}},
    {"one that has no images", 4, {{1000, 0}, {1, 100}, {1, 100}}, {0, 2, 2}},
};

static void test_divide(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t places[3] = {99, 99, 99};
        warmup_divide(rows[i].demands, 3, rows[i].most, places);
        for (int j = 0; j < 3; j++) {
            if (places[j] != rows[i].places[j])
                print_error("%s: collection %d\n", rows[i].what, j);
            assert_int_equal(places[j], rows[i].places[j]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_divide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
