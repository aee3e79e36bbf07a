#include "codec/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "base/utf8.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that the escape at raw[0] stands for, -1 when it is malformed. `left` counts from the '%' on. */
static int escape_value(const char *raw, size_t left)
{
    int high = left > 1 ? hex_value(raw[1]) : -1;
    int low = left > 2 ? hex_value(raw[2]) : -1;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static int is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

int url_decode_path(char *dst, size_t *ret_len, const char *raw, size_t n, struct error *e)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)raw[i];
        if (c == '%') {
            c = escape_value(raw + i, n - i);
            if (c < 0)
                return error_set(e, -EINVAL, "has a %% without two hexadecimal digits behind it");
            if (c == '\0' || c == '/')
                return error_set(e, -EINVAL, "has an escaped %s, which no name can hold", c ? "slash" : "NUL");
            i += 2;
        } else if (c <= ' ' || c == 0x7f || c == '\\' || c == '?' || c == '#') {
            return error_set(e, -EINVAL, "has a character 0x%02X, which must be written as %%%02X", (unsigned)c,
                             (unsigned)c);
        }
        dst[len++] = (char)c;
    }
    dst[len] = '\0';
    if (ret_len)
        *ret_len = len;
    return 0;
}

static int encode(struct buf *out, const char *text, size_t n, const char *also)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        int plain = is_unreserved(c) || (c && strchr(also, c));
        int r = plain ? buf_add(out, &text[i], 1) : buf_add(out, escape, sizeof escape);
        if (r < 0)
            return r;
    }
    return 0;
}

int url_encode_path(struct buf *out, const char *path, size_t n)
{
    return encode(out, path, n, "/");
}

int url_encode_value(struct buf *out, const char *value, size_t n)
{
    return encode(out, value, n, "");
}

/* Decodes one name or value to *at, ends it with a NUL and moves *at behind that. */
static int decode_value(char **at, const char *raw, size_t n, struct error *e)
{
    char *dst = *at;
    for (size_t i = 0; i < n; i++) {
        int c = raw[i] == '+' ? ' ' : (unsigned char)raw[i];
        if (c == '%') {
            c = escape_value(raw + i, n - i);
            if (c < 0)
                return error_set(e, -EINVAL, "The query has a %% without two hexadecimal digits behind it.");
            i += 2;
        }
        if (c == '\0')
            return error_set(e, -EINVAL, "The query has a NUL.");
        *dst++ = (char)c;
    }
    *dst = '\0';
    if (!utf8_valid(*at, (size_t)(dst - *at)))
        return error_set(e, -EINVAL, "The query is not UTF-8.");
    *at = dst + 1;
    return 0;
}

static int add_param(struct url_query *q, char **at, const char *raw, size_t n, struct error *e)
{
    const char *equals = memchr(raw, '=', n);
    size_t name_len = equals ? (size_t)(equals - raw) : n;
    char shown[80];

    if (q->count == URL_QUERY_PARAMS_MAX)
        return error_set(e, -E2BIG, "The query has more than %d parameters.", URL_QUERY_PARAMS_MAX);
    const char *name = *at;
    int r = decode_value(at, raw, name_len, e);
    if (r < 0)
        return r;
    if (url_query_get(q, name))
        return error_set(e, -EINVAL, "The query gives \"%s\" twice.", printable(shown, sizeof shown, name));
    const char *value = *at;
    r = equals ? decode_value(at, equals + 1, n - name_len - 1, e) : decode_value(at, "", 0, e);
    if (r == 0)
        q->params[q->count++] = (struct url_param){name, value};
    return r;
}

/* How many bytes of raw belong to the pair that starts there. */
static size_t pair_len(const char *raw, size_t n)
{
    const char *end = n ? memchr(raw, '&', n) : NULL;
    return end ? (size_t)(end - raw) : n;
}

int url_query_parse(struct url_query *ret, const char *raw, size_t n, struct error *e)
{
    struct url_query q = {0};
    if (n > URL_QUERY_MAX_BYTES)
        return error_set(e, -E2BIG, "The query is longer than %d bytes.", URL_QUERY_MAX_BYTES);
    /* No name and no value grows, and each gets a NUL. One that is refused may have begun. */
    q.text = malloc(n + 2 * (size_t)URL_QUERY_PARAMS_MAX + 2);
    if (!q.text)
        return error_set(e, -ENOMEM, "There is no memory left.");

    char *at = q.text;
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        size_t len = pair_len(raw + i, n - i);
        if (len)
            r = add_param(&q, &at, raw + i, len, e);
        i += len;
    }
    if (r < 0)
        url_query_release(&q);
    else
        *ret = q;
    return r;
}

void url_query_release(struct url_query *q)
{
    free(q->text);
    *q = (struct url_query){0};
}

const char *url_query_get(const struct url_query *q, const char *name)
{
    for (int i = 0; i < q->count; i++)
        if (strcmp(q->params[i].name, name) == 0)
            return q->params[i].value;
    return NULL;
}

int url_query_has(const char *raw, size_t n, const char *name)
{
    size_t name_len = strlen(name);
    for (size_t i = 0; i < n; i++) {
        size_t len = pair_len(raw + i, n - i);
        if (len > name_len + 1 && memcmp(raw + i, name, name_len) == 0 && raw[i + name_len] == '=')
            return 1;
        i += len;
    }
    return 0;
}
