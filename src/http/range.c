#include "http/range.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "codec/httpdate.h"

#define BLANKS " \t"

/* Reads digits at *p and moves *p behind them. What no int64_t holds becomes the largest, which no size reaches. */
static int read_number(const char **p, int64_t *ret)
{
    int64_t n = 0;
    if (**p < '0' || **p > '9')
        return 0;
    for (; **p >= '0' && **p <= '9'; ++*p)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, **p - '0', &n))
            n = INT64_MAX;
    *ret = n;
    return 1;
}

/* One of the list: first and last as they stand there, -1 for one that is missing. 0 when it is none. */
static int read_spec(const char **p, int64_t *first, int64_t *last)
{
    *first = *last = -1;
    int has_first = read_number(p, first);
    if (**p != '-')
        return 0;
    ++*p;
    int has_last = read_number(p, last);
    return (has_first || has_last) && !(has_first && has_last && *last < *first);
}

/* The only one of the list, whose empty elements do not count (section 5.6.1). 0 when there is another number of them,
 * or anything else. */
static int read_only_spec(const char *p, int64_t *first, int64_t *last)
{
    int count = 0;
    for (;;) {
        p += strspn(p, BLANKS ",");
        if (!*p)
            return count == 1;
        if (count++ || !read_spec(&p, first, last))
            return 0;
        p += strspn(p, BLANKS);
        if (*p && *p != ',')
            return 0;
    }
}

struct range range_parse(const char *value, int64_t size)
{
    const struct range whole = {RANGE_WHOLE, 0, size - 1}, nothing = {RANGE_UNSATISFIABLE, 0, size - 1};
    int64_t first, last;
    if (!value || strncasecmp(value, "bytes=", 6) != 0 || !read_only_spec(value + 6, &first, &last))
        return whole;
    if (first < 0) {
        if (last == 0)
            return nothing;
        if (size == 0)
            return whole;
        return (struct range){RANGE_PART, last < size ? size - last : 0, size - 1};
    }
    if (first >= size)
        return nothing;
    return (struct range){RANGE_PART, first, last < 0 || last >= size ? size - 1 : last};
}

int range_if_range(const char *value, const char *etag, int64_t modified_s)
{
    int64_t date;
    if (!value)
        return 1;
    if (*value == '"')
        return strcmp(value, etag) == 0;
    return httpdate_parse(value, modified_s, &date) == 0 && date == modified_s;
}

const char *range_content(char dst[RANGE_CONTENT_SIZE], const struct range *range, int64_t size)
{
    if (range->status == RANGE_UNSATISFIABLE)
        snprintf(dst, RANGE_CONTENT_SIZE, "bytes */%" PRId64, size);
    else
        snprintf(dst, RANGE_CONTENT_SIZE, "bytes %" PRId64 "-%" PRId64 "/%" PRId64, range->first, range->last, size);
    return dst;
}
