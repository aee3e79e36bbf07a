#include "stats/adaptive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

static const struct config settings = {
    .adaptive_ttl = true,
    .peak_ttl_s = 1800,
    .default_ttl_s = 3600,
    .peak_cache_items = 2000,
    .default_cache_items = 1000,
    .usage_threshold = 50,
};

/* Up to eight hours that had requests; one with none ends the list. */
static const struct row {
    const char *what;
    int hour;
    struct {
        int ago;
        int64_t requests;
    } counted[8];
    int peak;
    int64_t hour_requests;
} rows[] = {
    {"nothing is known, at night", 8, {{0, 0}}, 0, 0},
    {"nothing is known, the office opens", 9, {{0, 0}}, 1, 0},
    {"nothing is known, its last hour", 18, {{0, 0}}, 1, 0},
    {"nothing is known, the evening", 19, {{0, 0}}, 0, 0},
    {"something is known, not of this hour", 12, {{5, 1000}}, 0, 0},
    {"as much as the threshold", 12, {{24, 50}}, 0, 50},
    {"more than the threshold", 3, {{24, 51}}, 1, 51},
    {"one day of the seven", 3, {{144, 51}}, 1, 51},
    {"the average of two days", 3, {{24, 90}, {48, 10}}, 0, 50},
    {"the average of all days", 3, {{24, 60}, {48, 60}, {72, 60}, {96, 60}, {120, 60}, {144, 12}}, 1, 52},
    {"days without any do not count", 3, {{24, 60}, {72, 60}}, 1, 60},
    {"neighbours of this hour do not count", 3, {{23, 900}, {25, 900}, {24, 20}}, 0, 20},
    {"a rush today", 3, {{0, 51}, {24, 1}}, 1, 51},
    {"a peak hour that has just begun", 3, {{0, 1}, {24, 80}}, 1, 80},
};

static void test_decide(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        int64_t history[ADAPTIVE_HOURS] = {0};
        for (size_t j = 0; j < 8 && row->counted[j].requests; j++)
            history[row->counted[j].ago] = row->counted[j].requests;
        struct adaptive_limits got = adaptive_decide(history, row->hour, &settings);
        if (got.peak != row->peak || got.hour_requests != row->hour_requests)
            print_error("%s\n", row->what);
        assert_int_equal(got.peak, row->peak);
        assert_int_equal(got.hour_requests, row->hour_requests);
        assert_int_equal(got.ttl_s, row->peak ? 1800 : 3600);
        assert_int_equal(got.items, row->peak ? 2000 : 1000);
    }
}

static void test_threshold_of_nothing(void **state)
{
    (void)state;
    struct config every = settings;
    int64_t history[ADAPTIVE_HOURS] = {[24] = 1};
    every.usage_threshold = 0;
    assert_int_equal(adaptive_decide(history, 3, &every).peak, 1);
    history[24] = 0;
    history[1] = 1;
    assert_int_equal(adaptive_decide(history, 3, &every).peak, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decide),
        cmocka_unit_test(test_threshold_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
