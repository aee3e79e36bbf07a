#include "cli/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

const char *output_number(char dst[OUTPUT_SIZE], int64_t n)
{
    char digits[OUTPUT_SIZE];
    int len = snprintf(digits, sizeof digits, "%" PRId64, n);
    char *at = dst;
    for (int i = 0; i < len; i++) {
        *at++ = digits[i];
        if (digits[i] != '-' && i + 1 < len && (len - i - 1) % 3 == 0)
            *at++ = ',';
    }
    *at = '\0';
    return dst;
}

const char *output_bytes(char dst[OUTPUT_SIZE], int64_t n)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)n / 1024;
    size_t unit = 0;
    if (n < 1024) {
        snprintf(dst, OUTPUT_SIZE, "%d bytes", (int)n);
        return dst;
    }
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    snprintf(dst, OUTPUT_SIZE, "%.1f %s", value, units[unit]);
    return dst;
}

void output_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(value);
}
