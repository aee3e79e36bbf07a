#include "base/clock.h"

#include <limits.h>

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

const char *clock_iso(char dst[CLOCK_ISO_SIZE], int64_t us)
{
    time_t seconds = us / 1000000 - (us % 1000000 < 0);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || !strftime(dst, CLOCK_ISO_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm))
        dst[0] = '\0';
    return dst;
}
