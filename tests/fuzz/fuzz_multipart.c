/* Any body: what is told of it does not depend on how it was cut, and stays within the limits. The first line is the
 * Content-Type; the byte behind it says how large the pieces are. */
#include "codec/multipart.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
    if (!holds)
        abort();
}

struct told {
    int open, parts;
    uint64_t bytes, hash;
};

static void hash(struct told *told, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        told->hash = (told->hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
}

static int on_begin(void *arg, const struct multipart_part *part)
{
    struct told *told = arg;
    must(!told->open && part->name[0]);
    told->open = 1;
    must(++told->parts <= MULTIPART_PARTS_MAX);
    hash(told, part->name, strlen(part->name));
    hash(told, part->filename, strlen(part->filename));
    hash(told, part->type, strlen(part->type));
    return 0;
}

static int on_data(void *arg, const char *bytes, size_t n)
{
    struct told *told = arg;
    must(told->open && n);
    told->bytes += n;
    hash(told, bytes, n);
    return 0;
}

static int on_end(void *arg)
{
    struct told *told = arg;
    must(told->open);
    told->open = 0;
    hash(told, "]", 1);
    return 0;
}

static const struct multipart_ops ops = {on_begin, on_data, on_end};

static int feed(struct told *told, const char *boundary, const char *bytes, size_t n, size_t piece)
{
    struct multipart m;
    int r = 0;
    *told = (struct told){0};
    multipart_init(&m, boundary, &ops, told);
    for (size_t i = 0; r == 0 && i < n; i += piece)
        r = multipart_feed(&m, bytes + i, n - i < piece ? n - i : piece, NULL);
    return r < 0 ? r : multipart_end(&m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char boundary[MULTIPART_BOUNDARY_MAX + 1] = "b";
    const uint8_t *line = memchr(data, '\n', size);
    struct told whole, cut;
    if (line) {
        char *type = strndup((const char *)data, (size_t)(line - data));
        must(type != NULL);
        if (multipart_boundary(boundary, type, NULL) == 0)
            must(boundary[0] && !strpbrk(boundary, "\r\n"));
        free(type);
        size -= (size_t)(line + 1 - data);
        data = line + 1;
    }
    if (!size)
        return 0;
    const char *body = (const char *)data + 1;
    size_t n = size - 1;
    int r = feed(&whole, boundary, body, n, n ? n : 1);
    must(whole.bytes <= n && (r != 0 || !whole.open));
    must(feed(&cut, boundary, body, n, (size_t)data[0] + 1) == r);
    must(whole.parts == cut.parts && whole.bytes == cut.bytes && whole.hash == cut.hash);
    return 0;
}
