#include "codec/sniff_end.h"

#define PIECE 8192

/* The bytes one after the other. */
struct end_cursor {
    sniff_read_fn *read;
    void *arg;
    int64_t at, size; /* of the next byte; all that there are */
    int64_t from;     /* where `piece` begins */
    long len;
    unsigned char piece[PIECE];
};

/* -1 behind the end. */
static int next(struct end_cursor *c)
{
    if (c->at < 0 || c->at >= c->size)
        return -1;
    if (c->at < c->from || c->at >= c->from + c->len) {
        c->from = c->at;
        c->len = c->read(c->arg, c->piece, PIECE, c->at);
        if (c->len <= 0) {
            c->len = 0;
            return -1;
        }
    }
    return c->piece[c->at++ - c->from];
}

static void skip(struct end_cursor *c, int64_t n)
{
    c->at = n <= c->size - c->at ? c->at + n : c->size;
}

/* The number of `n` bytes that comes next, most significant byte first; -1 behind the end. */
static int64_t next_be(struct end_cursor *c, int n)
{
    int64_t v = 0;
    for (int i = 0; i < n; i++) {
        int byte = next(c);
        if (byte < 0)
            return -1;
        v = v << 8 | byte;
    }
    return v;
}

static int64_t next_le(struct end_cursor *c, int n)
{
    int64_t v = 0;
    for (int i = 0; i < n; i++) {
        int byte = next(c);
        if (byte < 0)
            return -1;
        v |= (int64_t)byte << (8 * i);
    }
    return v;
}

/* PNG (Third Edition), 5.3: chunks of a length, a type, data and a checksum; IEND is the last one. */
static bool ends_png(struct end_cursor *c)
{
    const int64_t iend = 0x49454E44;
    for (skip(c, 8);;) {
        int64_t len = next_be(c, 4), type = next_be(c, 4);
        if (len < 0 || type < 0)
            return false;
        skip(c, len);
        if (next_be(c, 4) < 0)
            return false;
        if (type == iend)
            return true;
    }
}

/* ITU-T T.81, B.1: in the data of a scan an FF is followed by 00, by a restart marker or by the next segment. An image
 * within a segment, such as a thumbnail, is skipped with it. */
static bool ends_jpeg(struct end_cursor *c)
{
    for (skip(c, 2);;) {
        int byte = next(c);
        while (byte >= 0 && byte != 0xFF)
            byte = next(c);
        while (byte == 0xFF)
            byte = next(c);
        if (byte < 0)
            return false;
        if (byte == 0xD9)
            return true;
        if (byte <= 0x01 || (byte >= 0xD0 && byte <= 0xD7))
            continue;
        int64_t len = next_be(c, 2);
        if (len < 2)
            return false;
        skip(c, len - 2);
    }
}

static bool skip_gif_blocks(struct end_cursor *c)
{
    int len;
    while ((len = next(c)) > 0)
        skip(c, len);
    return len == 0;
}

static void skip_gif_colors(struct end_cursor *c, int flags)
{
    if (flags & 0x80)
        skip(c, 3 << ((flags & 7) + 1));
}

/* GIF89a specification, appendix B: blocks, and 3B behind the last one. */
static bool ends_gif(struct end_cursor *c)
{
    skip(c, 10);
    int flags = next(c);
    skip(c, 2);
    if (flags < 0)
        return false;
    skip_gif_colors(c, flags);
    for (;;) {
        int kind = next(c);
        if (kind == 0x3B)
            return true;
        if (kind == 0x21) {
            skip(c, 1);
        } else if (kind == 0x2C) {
            skip(c, 8);
            flags = next(c);
            if (flags < 0)
                return false;
            skip_gif_colors(c, flags);
            skip(c, 1);
        } else {
            return false;
        }
        if (!skip_gif_blocks(c))
            return false;
    }
}

/* RFC 9649, section 2.3: the length of all that follows. */
static bool ends_webp(struct end_cursor *c)
{
    skip(c, 4);
    int64_t len = next_le(c, 4);
    return len >= 12 && len <= c->size - 8;
}

/* BITMAPFILEHEADER: bfSize. */
static bool ends_bmp(struct end_cursor *c)
{
    skip(c, 2);
    return next_le(c, 4) == c->size;
}

bool sniff_is_whole(enum sniff_kind kind, sniff_read_fn *read, void *arg, int64_t size)
{
    struct end_cursor c = {.read = read, .arg = arg, .size = size};
    switch (kind) {
    case SNIFF_PNG:
        return ends_png(&c);
    case SNIFF_JPEG:
        return ends_jpeg(&c);
    case SNIFF_GIF:
        return ends_gif(&c);
    case SNIFF_WEBP:
        return ends_webp(&c);
    case SNIFF_BMP:
        return ends_bmp(&c);
    default:
        return false;
    }
}
