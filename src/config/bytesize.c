#include "config/bytesize.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <strings.h>

static const struct {
    const char *name;
    int64_t bytes;
} byte_units[] = {
    /* The first four are how sizes are written, the largest that divides them. */
    {"GiB", INT64_C(1) << 30},
    {"MiB", INT64_C(1) << 20},
    {"KiB", INT64_C(1) << 10},
    {"", 1},
    {"G", INT64_C(1) << 30},
    {"M", INT64_C(1) << 20},
    {"K", INT64_C(1) << 10},
    {"B", 1},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"KB", 1000},
};
#define BYTE_UNITS         (sizeof byte_units / sizeof byte_units[0])
#define BYTE_UNITS_WRITTEN 4

int bytesize_digits(const char **pos, const char *end, int64_t *ret)
{
    const char *p = *pos;
    int64_t n = 0;
    for (; p < end && isdigit((unsigned char)*p); p++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
            n = INT64_MAX;
    if (p == *pos)
        return -EINVAL;
    *pos = p;
    *ret = n;
    return 0;
}

int bytesize_parse(const char *text, size_t len, int64_t *ret)
{
    const char *p = text, *end = text + len;
    int64_t n;
    if (bytesize_digits(&p, end, &n) < 0)
        return -EINVAL;
    while (p < end && *p == ' ')
        p++;
    size_t unit_len = (size_t)(end - p);
    for (size_t i = 0; i < BYTE_UNITS; i++) {
        if (strlen(byte_units[i].name) != unit_len || strncasecmp(byte_units[i].name, p, unit_len) != 0)
            continue;
        *ret = __builtin_mul_overflow(n, byte_units[i].bytes, &n) ? INT64_MAX : n;
        return 0;
    }
    return -EINVAL;
}

int bytesize_print(int64_t bytes, struct buf *out)
{
    size_t i = 0;
    while (i + 1 < BYTE_UNITS_WRITTEN && (bytes == 0 || bytes % byte_units[i].bytes))
        i++;
    return buf_addf(out, "%" PRId64 "%s%s", bytes / byte_units[i].bytes, *byte_units[i].name ? " " : "",
                    byte_units[i].name);
}
