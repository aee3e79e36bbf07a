/* Which day's cleaning is the last that came, by clocks in several places of the world. */
#include "job/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof(array)[0])

/* Zones as POSIX writes them, so that no database of zones is needed. */
#define UTC    "UTC0"
#define MADRID "CET-1CEST,M3.5.0,M10.5.0/3"
#define BOGOTA "<-05>5"

static const struct {
    const char *zone, *now; /* UTC */
    int at;
    const char *day;
    int just_now;
    const char *next; /* UTC */
} cases[] = {
    {UTC, "2026-11-21 01:59:59", 120, "2026-11-20", 0, "2026-11-21 02:00:00"},
    {UTC, "2026-11-21 02:00:00", 120, "2026-11-21", 1, "2026-11-22 02:00:00"},
    {UTC, "2026-11-21 02:59:59", 120, "2026-11-21", 1, "2026-11-22 02:00:00"},
    {UTC, "2026-11-21 03:00:00", 120, "2026-11-21", 0, "2026-11-22 02:00:00"},
    {UTC, "2026-11-21 00:00:00", 0, "2026-11-21", 1, "2026-11-22 00:00:00"},
    {UTC, "2026-11-21 23:58:59", 1439, "2026-11-20", 0, "2026-11-21 23:59:00"},
    {UTC, "2026-11-22 00:10:00", 1439, "2026-11-21", 1, "2026-11-22 23:59:00"},
    {UTC, "2027-01-01 01:00:00", 120, "2026-12-31", 0, "2027-01-01 02:00:00"},
    {MADRID, "2026-11-21 00:59:59", 120, "2026-11-20", 0, "2026-11-21 01:00:00"},
    {MADRID, "2026-11-21 01:00:00", 120, "2026-11-21", 1, "2026-11-22 01:00:00"},
    {BOGOTA, "2026-11-21 06:59:59", 120, "2026-11-20", 0, "2026-11-21 07:00:00"},
    {BOGOTA, "2026-11-21 07:00:00", 120, "2026-11-21", 1, "2026-11-22 07:00:00"},
    /* 02:30 is not there on the day on which summer begins, and comes twice when it ends. */
    {MADRID, "2026-03-29 00:59:59", 150, "2026-03-28", 0, "2026-03-29 01:30:00"},
    {MADRID, "2026-03-29 01:30:00", 150, "2026-03-29", 1, "2026-03-30 00:30:00"},
    {MADRID, "2026-10-25 02:10:00", 150, "2026-10-25", -1, "2026-10-26 01:30:00"},
};

static int64_t seconds(const char *utc)
{
    struct tm tm = {0};
    assert_non_null(strptime(utc, "%Y-%m-%d %H:%M:%S", &tm));
    return timegm(&tm);
}

static void finds_the_day(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(cases); i++) {
        setenv("TZ", cases[i].zone, 1);
        tzset();
        struct schedule_day found = schedule_day(seconds(cases[i].now), cases[i].at);
        if (strcmp(found.day, cases[i].day) != 0 || (cases[i].just_now >= 0 && found.just_now != cases[i].just_now))
            fail_msg("%s in %s: %s, %d", cases[i].now, cases[i].zone, found.day, found.just_now);
        int64_t off = found.next_s - seconds(cases[i].next);
        if (off > 3600 || off < -3600 || (off && strcmp(cases[i].zone, MADRID) != 0))
            fail_msg("%s in %s: the next one is off by %lld s", cases[i].now, cases[i].zone, (long long)off);
    }
    unsetenv("TZ");
    tzset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_the_day)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
