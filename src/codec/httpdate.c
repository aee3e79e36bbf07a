#include "codec/httpdate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LAST_SECOND INT64_C(253402300799) /* of the year 9999 */

/* Not strftime's, which are those of a locale. */
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char days[7][10] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

/* The nearest moment whose year has four digits. */
static time_t writable(int64_t seconds)
{
    return seconds < 0 ? 0 : seconds > LAST_SECOND ? LAST_SECOND : seconds;
}

/* Each reader moves *p behind what it read and returns whether it was there. */

static int read_text(const char **p, const char *text)
{
    size_t n = strlen(text);
    if (strncasecmp(*p, text, n) != 0)
        return 0;
    *p += n;
    return 1;
}

/* A day's name, in full or its first three letters. */
static int read_day_name(const char **p, int full)
{
    for (int i = 0; i < 7; i++) {
        size_t n = full ? strlen(days[i]) : 3;
        if (strncasecmp(*p, days[i], n) == 0) {
            *p += n;
            return 1;
        }
    }
    return 0;
}

static int read_month(const char **p, int *ret)
{
    for (int i = 0; i < 12; i++)
        if (read_text(p, months[i])) {
            *ret = i;
            return 1;
        }
    return 0;
}

/* Exactly `count` digits. */
static int read_digits(const char **p, int count, int *ret)
{
    int n = 0;
    for (int i = 0; i < count; i++, ++*p) {
        if (**p < '0' || **p > '9')
            return 0;
        n = 10 * n + (**p - '0');
    }
    *ret = n;
    return 1;
}

static int read_time(const char **p, struct tm *tm)
{
    return read_digits(p, 2, &tm->tm_hour) && read_text(p, ":") && read_digits(p, 2, &tm->tm_min) &&
           read_text(p, ":") && read_digits(p, 2, &tm->tm_sec);
}

static int read_fixdate(const char *p, struct tm *tm)
{
    return read_day_name(&p, 0) && read_text(&p, ", ") && read_digits(&p, 2, &tm->tm_mday) && read_text(&p, " ") &&
           read_month(&p, &tm->tm_mon) && read_text(&p, " ") && read_digits(&p, 4, &tm->tm_year) &&
           read_text(&p, " ") && read_time(&p, tm) && read_text(&p, " GMT") && !*p;
}

static int read_rfc850(const char *p, struct tm *tm)
{
    return read_day_name(&p, 1) && read_text(&p, ", ") && read_digits(&p, 2, &tm->tm_mday) && read_text(&p, "-") &&
           read_month(&p, &tm->tm_mon) && read_text(&p, "-") && read_digits(&p, 2, &tm->tm_year) &&
           read_text(&p, " ") && read_time(&p, tm) && read_text(&p, " GMT") && !*p;
}

static int read_asctime(const char *p, struct tm *tm)
{
    return read_day_name(&p, 0) && read_text(&p, " ") && read_month(&p, &tm->tm_mon) && read_text(&p, " ") &&
           (read_text(&p, " ") ? read_digits(&p, 1, &tm->tm_mday) : read_digits(&p, 2, &tm->tm_mday)) &&
           read_text(&p, " ") && read_time(&p, tm) && read_text(&p, " ") && read_digits(&p, 4, &tm->tm_year) && !*p;
}

static int days_of_month(int month, int year)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return lengths[month] + (month == 1 && leap);
}

/* The seconds of a date with its full year. A leap second is the one after it. */
static int to_seconds(struct tm tm, int64_t *ret)
{
    if (tm.tm_mday < 1 || tm.tm_mday > days_of_month(tm.tm_mon, tm.tm_year) || tm.tm_hour > 23 || tm.tm_min > 59 ||
        tm.tm_sec > 60)
        return -EINVAL;
    tm.tm_year -= 1900;
    *ret = timegm(&tm);
    return 0;
}

/* The century of a year of two digits. */
static int full_year(int year, int64_t now_s)
{
    time_t now = writable(now_s);
    struct tm today = {.tm_year = 70};
    gmtime_r(&now, &today);
    int latest = today.tm_year + 1900 + 50;
    return latest - ((latest - year) % 100 + 100) % 100;
}

int httpdate_parse(const char *text, int64_t now_s, int64_t *ret)
{
    struct tm tm = {0};
    if (read_fixdate(text, &tm) || read_asctime(text, &tm))
        return to_seconds(tm, ret);
    if (!read_rfc850(text, &tm))
        return -EINVAL;

    int64_t seconds;
    tm.tm_year = full_year(tm.tm_year, now_s);
    int r = to_seconds(tm, &seconds);
    if (r == 0)
        *ret = seconds;
    return r;
}

const char *httpdate_format(char dst[HTTPDATE_SIZE], int64_t seconds)
{
    time_t t = writable(seconds);
    struct tm tm = {0};
    gmtime_r(&t, &tm);
    snprintf(dst, HTTPDATE_SIZE, "%.3s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday % 7],
             (unsigned)tm.tm_mday % 100, months[tm.tm_mon % 12], ((unsigned)tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    return dst;
}
