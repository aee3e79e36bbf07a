#include "http/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config/config.h"
#include "fs/fdio.h"
#include "store/store.h"
#include "store/store_object.h"

void http_body_begin(struct http_transaction *x, int64_t room)
{
    buf_init(&x->body, (size_t)room);
    x->body_fd = -1;
    x->body_bytes = 0;
}

static int append(int fd, const char *bytes, size_t n, struct error *e)
{
    int r = fdio_write(fd, bytes, n);
    return r < 0 ? error_set(e, r, "can't be kept until it is stored: %s", strerror(-r)) : 0;
}

int http_body_spool(struct http_transaction *x, struct error *e)
{
    int r = store_spool(x->store, &x->body_fd, e);
    if (r == 0)
        r = append(x->body_fd, x->body.data, x->body.len, e);
    buf_release(&x->body);
    return r;
}

int http_body_add(struct http_transaction *x, const char *piece, size_t n, struct error *e)
{
    int r = 0;
    if (x->body_fd < 0 && x->body.len + n > x->body.max)
        r = http_body_spool(x, e);
    if (r == 0 && x->body_fd >= 0)
        r = append(x->body_fd, piece, n, e);
    else if (r == 0)
        r = buf_add(&x->body, piece, n) < 0 ? error_set(e, -ENOMEM, "can't be held: out of memory") : 0;
    if (r == 0)
        x->body_bytes += (int64_t)n;
    return r;
}

int http_body_is_large(const struct http_transaction *x)
{
    return x->body_fd >= 0 && x->body_bytes > store_config(x->store)->inline_max_bytes;
}

int http_body_load(struct http_transaction *x, struct error *e)
{
    struct buf body;
    char *to;
    buf_init(&body, (size_t)x->body_bytes);
    int r = buf_reserve(&body, (size_t)x->body_bytes, &to);
    if (r == 0)
        r = fdio_read(x->body_fd, to, (size_t)x->body_bytes, 0);
    if (r < 0) {
        buf_release(&body);
        return error_set(e, r, "cannot be read back from its temporary file: %s", strerror(-r));
    }
    body.len = (size_t)x->body_bytes;
    to[body.len] = '\0';
    close(x->body_fd);
    x->body_fd = -1;
    x->body = body;
    return 0;
}

int http_body_is_coded(const struct http_transaction *x)
{
    char *list = http_header_list(x, "Content-Encoding");
    const char *at = list ? list : "";
    at += strspn(at, ", \t");
    while (strncasecmp(at, "identity", 8) == 0 && strchr(", \t", at[8]))
        at += 8 + strspn(at + 8, ", \t");
    int coded = *at != '\0';
    free(list);
    return coded;
}

void http_body_release(struct http_transaction *x)
{
    buf_release(&x->body);
    if (x->body_fd >= 0)
        close(x->body_fd);
    x->body_fd = -1;
}

const void *http_body_head(const struct http_transaction *x, char *room, size_t size, size_t *ret_n)
{
    if (x->body_fd < 0) {
        *ret_n = x->body.len;
        return x->body.data;
    }
    ssize_t got = pread(x->body_fd, room, size, 0);
    *ret_n = got > 0 ? (size_t)got : 0;
    return room;
}
