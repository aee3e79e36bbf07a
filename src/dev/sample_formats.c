#include "dev/sample_formats.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#define DEFLATE_BLOCK      65535
#define GIF_LEVELS         5 /* of each colour: 125 of 128 in the table */
#define GIF_CLEAR          128
#define GIF_END            129
#define GIF_BETWEEN_CLEARS 120 /* fewer than the decoder needs to change to 9-bit codes */
#define GIF_BLOCK          240

/* n bytes of a number, least significant first. The room was reserved. */
static void put_le(struct buf *out, int n, uint32_t value)
{
    for (int i = 0; i < n; i++)
        out->data[out->len++] = (char)(value >> 8 * i);
}

static void put_be32(struct buf *out, uint32_t value)
{
    for (int i = 24; i >= 0; i -= 8)
        out->data[out->len++] = (char)(value >> i);
}

static void put(struct buf *out, const void *bytes, size_t n)
{
    memcpy(out->data + out->len, bytes, n);
    out->len += n;
}

/* Room for n more bytes. */
static int room(struct buf *out, size_t n)
{
    char *at;
    return buf_reserve(out, n, &at);
}

static uint32_t crc32(const void *bytes, size_t n)
{
    static const uint32_t table[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
                                       0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    const unsigned char *at = bytes;
    uint32_t crc = UINT32_MAX;
    for (; n; n--) {
        crc ^= *at++;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static uint32_t adler32(const char *bytes, size_t n)
{
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < n; i++) {
        a += (unsigned char)bytes[i];
        b += a;
        if (i % 4096 == 4095) { /* long before 32 bits are full */
            a %= 65521;
            b %= 65521;
        }
    }
    return b % 65521 << 16 | a % 65521;
}

/* The rows as PNG wants them before compression: each begins with its filter, none. */
static int png_rows(struct buf *rows, const struct sample_picture *p)
{
    size_t row_bytes = (size_t)p->width * 3;
    buf_init(rows, (row_bytes + 1) * (size_t)p->height + 1);
    int r = room(rows, (row_bytes + 1) * (size_t)p->height);
    for (int y = 0; r == 0 && y < p->height; y++) {
        put_le(rows, 1, 0);
        put(rows, p->rgb + row_bytes * (size_t)y, row_bytes);
    }
    return r;
}

/* Ends a chunk that began at `start`: its length goes to the front, the checksum behind. */
static void png_end_chunk(struct buf *out, size_t start)
{
    size_t end = out->len;
    out->len = start;
    put_be32(out, (uint32_t)(end - start - 8));
    out->len = end;
    put_be32(out, crc32(out->data + start + 4, end - start - 4));
}

static size_t png_begin_chunk(struct buf *out, const char *type)
{
    size_t start = out->len;
    put(out, "\0\0\0\0", 4);
    put(out, type, 4);
    return start;
}

int sample_png(struct buf *out, const struct sample_picture *p)
{
    struct buf rows;
    int r = png_rows(&rows, p);
    if (r == 0)
        r = room(out, rows.len + rows.len / DEFLATE_BLOCK * 5 + 128);
    if (r < 0) {
        buf_release(&rows);
        return r;
    }
    put(out, "\x89PNG\r\n\x1a\n", 8);
    size_t chunk = png_begin_chunk(out, "IHDR");
    put_be32(out, (uint32_t)p->width);
    put_be32(out, (uint32_t)p->height);
    put(out, "\x08\x02\0\0\0", 5); /* 8 bits a channel, RGB */
    png_end_chunk(out, chunk);

    chunk = png_begin_chunk(out, "IDAT");
    put(out, "\x78\x01", 2); /* zlib */
    for (size_t at = 0; at < rows.len; at += DEFLATE_BLOCK) {
        size_t n = rows.len - at < DEFLATE_BLOCK ? rows.len - at : DEFLATE_BLOCK;
        put_le(out, 1, at + n == rows.len); /* the last one, stored */
        put_le(out, 2, (uint32_t)n);
        put_le(out, 2, ~(uint32_t)n);
        put(out, rows.data + at, n);
    }
    put_be32(out, adler32(rows.data, rows.len));
    png_end_chunk(out, chunk);
    png_end_chunk(out, png_begin_chunk(out, "IEND"));
    buf_release(&rows);
    return 0;
}

int sample_ico(struct buf *out, const struct sample_picture *p)
{
    struct buf png;
    buf_init(&png, out->max);
    int r = sample_png(&png, p);
    if (r == 0)
        r = room(out, 22 + png.len);
    if (r == 0) {
        put(out, "\0\0\1\0\1\0", 6); /* an icon, one picture */
        put_le(out, 1, (uint32_t)p->width);
        put_le(out, 1, (uint32_t)p->height);
        put_le(out, 2, 0);
        put_le(out, 2, 1);
        put_le(out, 2, 24);
        put_le(out, 4, (uint32_t)png.len);
        put_le(out, 4, 22);
        put(out, png.data, png.len);
    }
    buf_release(&png);
    return r;
}

int sample_bmp(struct buf *out, const struct sample_picture *p)
{
    size_t row_bytes = ((size_t)p->width * 3 + 3) / 4 * 4, pixels = row_bytes * (size_t)p->height;
    int r = room(out, 54 + pixels);
    if (r < 0)
        return r;
    put(out, "BM", 2);
    put_le(out, 4, (uint32_t)(54 + pixels));
    put_le(out, 4, 0);
    put_le(out, 4, 54);
    put_le(out, 4, 40); /* BITMAPINFOHEADER */
    put_le(out, 4, (uint32_t)p->width);
    put_le(out, 4, (uint32_t)p->height);
    put_le(out, 2, 1);
    put_le(out, 2, 24);
    put_le(out, 4, 0); /* not compressed */
    put_le(out, 4, (uint32_t)pixels);
    put_le(out, 4, 2835); /* pixels a metre */
    put_le(out, 4, 2835);
    put_le(out, 4, 0);
    put_le(out, 4, 0);
    for (int y = p->height - 1; y >= 0; y--) { /* from the bottom, blue first */
        const unsigned char *at = p->rgb + (size_t)y * (size_t)p->width * 3;
        for (int x = 0; x < p->width; x++, at += 3)
            put_le(out, 3, (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2]);
        put_le(out, (int)(row_bytes - (size_t)p->width * 3), 0);
    }
    return 0;
}

int sample_tiff(struct buf *out, const struct sample_picture *p)
{
    size_t pixels = (size_t)p->width * (size_t)p->height * 3, even = pixels + pixels % 2;
    const uint32_t bits_at = 8 + (uint32_t)even, directory_at = bits_at + 6;
    const struct {
        uint16_t tag, type; /* 3: 16 bits, 4: 32 bits */
        uint32_t count, value;
    } fields[] = {
        {256, 4, 1, (uint32_t)p->width},
        {257, 4, 1, (uint32_t)p->height},
        {258, 3, 3, bits_at},
        {259, 3, 1, 1}, /* not compressed */
        {262, 3, 1, 2}, /* RGB */
        {273, 4, 1, 8}, /* one strip, behind the header */
        {277, 3, 1, 3},
        {278, 4, 1, (uint32_t)p->height},
        {279, 4, 1, (uint32_t)pixels},
    };
    const size_t count = sizeof fields / sizeof *fields;
    int r = room(out, directory_at + 2 + count * 12 + 4);
    if (r < 0)
        return r;
    put(out, "II*\0", 4);
    put_le(out, 4, directory_at);
    put(out, p->rgb, pixels);
    put_le(out, (int)(even - pixels), 0);
    put(out, "\x08\0\x08\0\x08\0", 6);
    put_le(out, 2, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        put_le(out, 2, fields[i].tag);
        put_le(out, 2, fields[i].type);
        put_le(out, 4, fields[i].count);
        put_le(out, 4, fields[i].value);
    }
    put_le(out, 4, 0);
    return 0;
}

/* The level of one channel, dithered so that gradients stay smooth. */
static unsigned gif_level(unsigned value, int x, int y)
{
    static const unsigned char bayer[4][4] = {{0, 8, 2, 10}, {12, 4, 14, 6}, {3, 11, 1, 9}, {15, 7, 13, 5}};
    return (value * (GIF_LEVELS - 1) * 16 / 255 + bayer[y % 4][x % 4]) / 16;
}

/* A byte of LZW codes into the current block. */
static void gif_code(struct buf *out, size_t *block, unsigned code)
{
    if (out->len - *block == GIF_BLOCK + 1) {
        *block = out->len;
        put_le(out, 1, 0);
    }
    put_le(out, 1, code);
    out->data[*block]++;
}

int sample_gif(struct buf *out, const struct sample_picture *p)
{
    size_t pixels = (size_t)p->width * (size_t)p->height, codes = pixels + pixels / GIF_BETWEEN_CLEARS + 2;
    int r = room(out, 1024 + codes + codes / GIF_BLOCK);
    if (r < 0)
        return r;
    put(out, "GIF89a", 6);
    put_le(out, 2, (uint32_t)p->width);
    put_le(out, 2, (uint32_t)p->height);
    put(out, "\xF6\0\0", 3); /* a table of 128 colours */
    for (unsigned i = 0; i < 128; i++) {
        const unsigned step = 255 / (GIF_LEVELS - 1), used = i < GIF_LEVELS * GIF_LEVELS * GIF_LEVELS ? i : 0;
        put_le(out, 1, used / (GIF_LEVELS * GIF_LEVELS) * step);
        put_le(out, 1, used / GIF_LEVELS % GIF_LEVELS * step);
        put_le(out, 1, used % GIF_LEVELS * step);
    }
    put(out, ",\0\0\0\0", 5);
    put_le(out, 2, (uint32_t)p->width);
    put_le(out, 2, (uint32_t)p->height);
    put(out, "\0\x07", 2); /* codes of 8 bits: as long as the decoder's table is cleared in time, a byte is a pixel */

    size_t block = out->len;
    put_le(out, 1, 0);
    const unsigned char *at = p->rgb;
    for (size_t i = 0; i < pixels; i++, at += 3) {
        int x = (int)(i % (size_t)p->width), y = (int)(i / (size_t)p->width);
        if (i % GIF_BETWEEN_CLEARS == 0)
            gif_code(out, &block, GIF_CLEAR);
        gif_code(out, &block,
                 (gif_level(at[0], x, y) * GIF_LEVELS + gif_level(at[1], x, y)) * GIF_LEVELS + gif_level(at[2], x, y));
    }
    gif_code(out, &block, GIF_END);
    put(out, "\0;", 2);
    return 0;
}

int sample_svg(struct buf *out, int width, int height, unsigned seed)
{
    int r = buf_addf(out,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n"
                     "<title>Sample %u</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#%06x\"/>\n",
                     width, height, width, height, seed, sample_colour(seed, 0));
    for (int i = 0; r == 0 && i < 24; i++)
        r = buf_addf(out,
                     "<ellipse cx=\"%d\" cy=\"%d\" rx=\"%d\" ry=\"%d\" fill=\"none\" stroke=\"#%06x\" "
                     "stroke-width=\"%d\" transform=\"rotate(%d %d %d)\"/>\n",
                     width / 2, height / 2, width / 3, height / 8, sample_colour(seed, 1 + i % 5), 1 + width / 200,
                     i * 15, width / 2, height / 2);
    return r == 0 ? buf_addstr(out, "</svg>\n") : r;
}
