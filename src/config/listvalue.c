#include "config/listvalue.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "config/value.h"

#define SEPARATORS " \t\r\n,"

const char *listvalue_next(const char **list, size_t *ret_len)
{
    const char *item = *list + strspn(*list, SEPARATORS);
    *ret_len = strcspn(item, SEPARATORS);
    *list = item + *ret_len;
    return *ret_len ? item : NULL;
}

/* The bit of one word, 0 when it is none of them. */
static int64_t word_bit(const char *words, const char *text, size_t len)
{
    for (int64_t bit = 1; *words; bit <<= 1) {
        size_t n = strcspn(words, " ");
        if (n == len && strncasecmp(words, text, n) == 0)
            return bit;
        words += n + (words[n] == ' ');
    }
    return 0;
}

int listvalue_words(const char *words, const char *list, int64_t *ret_bits)
{
    int64_t bits = 0;
    size_t len;
    for (const char *item; (item = listvalue_next(&list, &len));) {
        int64_t bit = word_bit(words, item, len);
        if (!bit)
            return -EINVAL;
        bits |= bit;
    }
    if (!bits)
        return -EINVAL;
    *ret_bits = bits;
    return 0;
}

int listvalue_print_words(const char *words, int64_t bits, struct buf *out)
{
    int r = 0;
    const char *separator = "";
    for (; r == 0 && *words; bits >>= 1) {
        size_t n = strcspn(words, " ");
        if (bits & 1) {
            r = buf_addf(out, "%s%.*s", separator, (int)n, words);
            separator = ",";
        }
        words += n + (words[n] == ' ');
    }
    return r;
}

int listvalue_is_token(const char *text, size_t n)
{
    size_t len = 0;
    while (len < n && text[len] &&
           strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/", text[len]))
        len++;
    if (!len)
        return 0;
    while (len < n && text[len] == '=')
        len++;
    return len == n;
}

static size_t span(const char *text, size_t n, const char *of)
{
    size_t len = 0;
    while (len < n && text[len] && strchr(of, text[len]))
        len++;
    return len;
}

int listvalue_is_host(const char *text, size_t n)
{
    size_t len = n && *text == '[' ? 1 + span(text + 1, n - 1, "0123456789abcdefABCDEF:.")
                                   : span(text, n, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
    if (len < 1 || (*text == '[' && (len < 3 || len == n || text[len++] != ']')) || *text == '.' || *text == '-')
        return 0;
    if (len == n)
        return 1;
    size_t digits = n - len - 1;
    return text[len] == ':' && digits >= 1 && digits <= 5 && span(text + len + 1, digits, "0123456789") == digits;
}

/* How many bytes of the element are kept, 0 when it is refused. */
typedef size_t accept_fn(const char *item, size_t n);

static size_t accept_token(const char *item, size_t n)
{
    return listvalue_is_token(item, n) ? n : 0;
}

static size_t accept_host(const char *item, size_t n)
{
    return listvalue_is_host(item, n) ? n : 0;
}

static size_t accept_url_path(const char *item, size_t n)
{
    while (n > 1 && item[n - 1] == '/')
        n--;
    return value_url_path(item, n) ? n : 0;
}

static int read_list(const char *list, accept_fn *accept, char **ret)
{
    struct buf out;
    int r = 0;
    size_t len;
    buf_init(&out, VALUE_MAX);
    for (const char *item; r == 0 && (item = listvalue_next(&list, &len));) {
        len = accept(item, len);
        r = len ? 0 : -EINVAL;
        if (r == 0 && out.len)
            r = buf_addstr(&out, ",");
        if (r == 0)
            r = buf_add(&out, item, len);
    }
    if (r == 0 && !out.len)
        r = -EINVAL;
    if (r < 0) {
        buf_release(&out);
        return r == -ENOMEM ? r : -EINVAL;
    }
    *ret = out.data;
    return 0;
}

int listvalue_tokens(const char *list, char **ret)
{
    return read_list(list, accept_token, ret);
}

int listvalue_hosts(const char *list, char **ret)
{
    return read_list(list, accept_host, ret);
}

int listvalue_url_paths(const char *list, char **ret)
{
    return read_list(list, accept_url_path, ret);
}
