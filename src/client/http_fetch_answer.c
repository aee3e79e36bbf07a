#include "client/http_fetch_answer.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "codec/httpdate.h"

#define RETRY_AFTER_MAX_S 86400

void fetch_answer_init(struct fetch_answer *a)
{
    memset(a, 0, sizeof *a);
    a->length = a->first = a->last = a->whole_length = a->date_s = a->retry_after_s = -1;
}

void fetch_answer_detail(struct fetch_answer *a, const char *bytes, size_t n)
{
    size_t room = sizeof a->detail - 1 - a->detail_len;
    if (n > room)
        n = room;
    memcpy(a->detail + a->detail_len, bytes, n);
    a->detail_len += n;
    a->detail[a->detail_len] = '\0';
}

/* Copies a text that fits, and holds no control characters. */
static void keep(char *dst, size_t size, const char *value, size_t n)
{
    *dst = '\0';
    if (n >= size)
        return;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
            return;
    memcpy(dst, value, n);
    dst[n] = '\0';
}

/* Decimal digits alone; -1 for anything else. */
static int64_t number(const char *text, size_t n)
{
    int64_t value = 0;
    if (!n || n > 18)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

static int64_t date(const char *value, size_t n, int64_t now_s)
{
    char text[64];
    int64_t at;
    keep(text, sizeof text, value, n);
    return *text && httpdate_parse(text, now_s, &at) == 0 ? at : -1;
}

/* RFC 9110 section 10.2.3: seconds, or a date. */
static int64_t pause_s(const char *value, size_t n, int64_t now_s)
{
    int64_t s = number(value, n);
    if (s < 0) {
        int64_t at = date(value, n, now_s);
        if (at < 0)
            return -1;
        s = at > now_s ? at - now_s : 0;
    }
    return s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S;
}

/* RFC 9110 section 14.4: "bytes 0-99/200". */
static void take_range(struct fetch_answer *a, const char *value, size_t n)
{
    const char *end = value + n, *slash = memchr(value, '/', n);
    const char *dash = slash ? memchr(value, '-', (size_t)(slash - value)) : NULL;
    a->first = a->last = a->whole_length = -1;
    if (!dash || n < 6 || strncasecmp(value, "bytes ", 6) != 0)
        return;
    a->first = number(value + 6, (size_t)(dash - value - 6));
    a->last = number(dash + 1, (size_t)(slash - dash - 1));
    a->whole_length = number(slash + 1, (size_t)(end - slash - 1));
}

/* A second length that is the first one's changes nothing (RFC 9112 section 6.3); any other makes both worthless. */
static void take_length(struct fetch_answer *a, const char *value, size_t n)
{
    int64_t length = number(value, n);
    a->contradicts |= length < 0 || (a->length >= 0 && a->length != length) || a->end == FETCH_END_BY_CHUNK;
    a->length = length;
    if (a->end == FETCH_END_BY_CLOSE)
        a->end = FETCH_END_BY_LENGTH;
}

/* None was asked for, so that there is no other coding than chunked. */
static void take_coding(struct fetch_answer *a, const char *value, size_t n)
{
    a->contradicts |= n != 7 || strncasecmp(value, "chunked", 7) != 0 || a->end != FETCH_END_BY_CLOSE;
    a->end = FETCH_END_BY_CHUNK;
}

static int is(const char *name, size_t n, const char *wanted)
{
    return strlen(wanted) == n && strncasecmp(name, wanted, n) == 0;
}

static void take_field(struct fetch_answer *a, const char *name, size_t name_len, const char *value, size_t n)
{
    int64_t now_s = clock_realtime_us() / 1000000;
    if (is(name, name_len, "etag"))
        keep(a->etag, sizeof a->etag, value, n);
    else if (is(name, name_len, "content-type"))
        keep(a->content_type, sizeof a->content_type, value, n);
    else if (is(name, name_len, "last-modified"))
        keep(a->last_modified, sizeof a->last_modified, value, n);
    else if (is(name, name_len, "cache-control"))
        keep(a->cache_control, sizeof a->cache_control, value, n);
    else if (is(name, name_len, "x-amz-bucket-region"))
        keep(a->region, sizeof a->region, value, n);
    else if (is(name, name_len, "content-length"))
        take_length(a, value, n);
    else if (is(name, name_len, "transfer-encoding"))
        take_coding(a, value, n);
    else if (is(name, name_len, "content-range"))
        take_range(a, value, n);
    else if (is(name, name_len, "date"))
        a->date_s = date(value, n, now_s);
    else if (is(name, name_len, "retry-after"))
        a->retry_after_s = pause_s(value, n, now_s);
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void fetch_answer_line(struct fetch_answer *a, const char *line, size_t n)
{
    while (n && is_blank(line[n - 1]))
        n--;
    if (n >= 12 && strncasecmp(line, "HTTP/", 5) == 0) {
        const char *blank = memchr(line, ' ', n);
        fetch_answer_init(a);
        if (blank && line + n - blank >= 4)
            a->status = (int)number(blank + 1, 3);
        /* RFC 9112 section 4: three digits, and a blank before any more. Some releases of libcurl take four. */
        a->contradicts |= a->status <= 0 || (line + n - blank > 4 && blank[4] != ' ');
        return;
    }
    const char *colon = n ? memchr(line, ':', n) : NULL;
    if (!colon)
        return;
    const char *value = colon + 1;
    while (value < line + n && is_blank(*value))
        value++;
    take_field(a, line, (size_t)(colon - line), value, (size_t)(line + n - value));
}
