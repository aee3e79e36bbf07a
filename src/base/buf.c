#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){.max = max_bytes};
}

void buf_release(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

int buf_reserve(struct buf *b, size_t n, char **ret)
{
    assert(b->len <= b->max);
    if (n > b->max - b->len)
        return -EMSGSIZE;

    size_t need = b->len + n + 1;
    if (need > b->room) {
        size_t room = b->room + b->room / 2;
        if (room < need)
            room = need < 64 ? 64 : need;
        if (room > b->max + 1)
            room = b->max + 1;
        char *data = realloc(b->data, room);
        if (!data)
            return -ENOMEM;
        b->data = data;
        b->room = room;
        b->data[b->len] = '\0';
    }
    *ret = b->data + b->len;
    return 0;
}

int buf_add(struct buf *b, const void *bytes, size_t n)
{
    char *at;
    int r = buf_reserve(b, n, &at);
    if (r < 0)
        return r;
    if (n)
        memcpy(at, bytes, n);
    at[n] = '\0';
    b->len += n;
    return 0;
}

int buf_addstr(struct buf *b, const char *str)
{
    return buf_add(b, str, strlen(str));
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);

    char *at;
    int r = n < 0 ? -EINVAL : buf_reserve(b, (size_t)n, &at);
    if (r == 0) {
        vsnprintf(at, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return r;
}
