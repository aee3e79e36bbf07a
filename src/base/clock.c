#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)

int64_t clock_monotonic_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int clock_left_ms(int64_t deadline_ms)
{
    int64_t left = deadline_ms - clock_monotonic_ms();
    return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

void clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static int64_t now_us(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_monotonic_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t clock_realtime_us(void)
{
    return now_us(CLOCK_REALTIME);
}

int64_t clock_file_us(void)
{
    return now_us(CLOCK_REALTIME_COARSE);
}

int64_t clock_ns(struct timespec ts)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)ts.tv_sec, NS_PER_S, &ns) || __builtin_add_overflow(ns, ts.tv_nsec, &ns))
        return ts.tv_sec < 0 ? INT64_MIN + 1 : INT64_MAX; /* the smallest stands for "no time" elsewhere */
    return ns;
}

struct timespec clock_timespec(int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    if (ts.tv_nsec < 0) {
        ts.tv_sec--;
        ts.tv_nsec += NS_PER_S;
    }
    return ts;
}

void clock_sleep_ns(int64_t ns)
{
    struct timespec left = clock_timespec(ns);
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

const char *clock_iso(char dst[CLOCK_ISO_SIZE], int64_t us)
{
    time_t seconds = us / 1000000 - (us % 1000000 < 0);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || !strftime(dst, CLOCK_ISO_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm))
        dst[0] = '\0';
    return dst;
}

/* The year to the second. Returns where it ends, NULL: it is none. */
static const char *parse_second(const char *text, int64_t *ret_s)
{
    static const char form[] = "0000-00-00T00:00:00";
    struct tm tm = {0}, same;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == '0' ? !isdigit((unsigned char)text[i]) : toupper((unsigned char)text[i]) != form[i])
            return NULL;
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (!end || !(end = strptime(end + 1, "%H:%M:%S", &tm)))
        return NULL;
    same = tm;
    *ret_s = timegm(&same);
    return same.tm_mday == tm.tm_mday || tm.tm_sec == 60 ? end : NULL; /* not February 30th */
}

/* Two digits. */
static int parse_two(const char *text)
{
    return (text[0] - '0') * 10 + text[1] - '0';
}

/* "Z", "+01:30": what the local time is ahead of UTC. */
static int parse_offset(const char *text, int64_t *ret_s)
{
    static const char digits[] = "0123456789";
    *ret_s = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return 0;
    if ((*text != '+' && *text != '-') || strspn(text + 1, digits) != 2 || text[3] != ':' ||
        strspn(text + 4, digits) != 2 || text[6])
        return -EINVAL;
    int hours = parse_two(text + 1), minutes = parse_two(text + 4);
    *ret_s = (*text == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return hours < 24 && minutes < 60 ? 0 : -EINVAL;
}

int clock_parse_iso(const char *text, int64_t *ret_us)
{
    int64_t seconds, offset_s, us = 0;
    const char *at = parse_second(text, &seconds);
    if (!at)
        return -EINVAL;
    if (*at == '.') {
        if (!isdigit((unsigned char)*++at))
            return -EINVAL;
        for (int64_t worth = 100000; isdigit((unsigned char)*at); at++, worth /= 10)
            us += (*at - '0') * worth;
    }
    if (parse_offset(at, &offset_s) < 0)
        return -EINVAL;
    *ret_us = (seconds - offset_s) * 1000000 + us;
    return 0;
}
