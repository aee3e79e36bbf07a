/* Time: deadlines on the monotonic clock in milliseconds, points in time as microseconds or nanoseconds since 1970. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_ISO_SIZE 32

/* Milliseconds on a clock that never jumps; for deadlines and durations only. */
int64_t clock_monotonic_ms(void);

/* The same in microseconds. */
int64_t clock_monotonic_us(void);

/* Milliseconds left until `deadline_ms`, for poll(2): never negative, at most INT_MAX. */
int clock_left_ms(int64_t deadline_ms);

/* Makes a condition whose timed waits go by clock_monotonic_ms: until clock_timespec of those milliseconds. */
void clock_cond_init(pthread_cond_t *cond);

/* Microseconds since 1970-01-01 UTC. */
int64_t clock_realtime_us(void);

/* The same by the clock that stamps files, which is behind by up to a tick: a file written after the call never has an
 * earlier time. */
int64_t clock_file_us(void);

/* Nanoseconds since 1970 of a timespec, and back. What lies beyond the years 1677 to 2262 becomes the nearest that
 * fits: a file's time can be set to anything. */
int64_t clock_ns(struct timespec ts);
struct timespec clock_timespec(int64_t ns);

/* Sleeps for so many nanoseconds, whatever signals come. */
void clock_sleep_ns(int64_t ns);

/* Writes "2026-11-21T01:18:02Z" (UTC, RFC 3339) for microseconds since 1970 into dst and returns it. */
const char *clock_iso(char dst[CLOCK_ISO_SIZE], int64_t us);

/* Microseconds since 1970 of a point in time as RFC 3339 (section 5.6) has it: "2026-11-21T01:18:02.25+01:00". Digits
 * behind microseconds are cut off. -EINVAL. */
int clock_parse_iso(const char *text, int64_t *ret_us) __attribute__((warn_unused_result));

#endif
