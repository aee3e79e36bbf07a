#include "codec/sniff_formats.h"

/* JPEG: ITU-T T.81, annex B (marker segments; B.2.2 has the frame header). */

static bool is_frame_header(unsigned marker)
{
    /* C4, C8 and CC lie in the range of SOFn, but are DHT, JPG and DAC. */
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

static bool stands_alone(unsigned marker)
{
    return marker <= 0x01 || (marker >= 0xD0 && marker <= 0xD7);
}

struct sniff sniff_jpeg(struct span s)
{
    const unsigned start_of_scan = 0xDA, end_of_image = 0xD9;
    size_t at = 2;

    for (;;) {
        /* Bytes between segments are skipped as decoders do, and so are the FFs that may fill up before a marker. */
        while (at < s.n && s.p[at] != 0xFF)
            at++;
        while (at < s.n && s.p[at] == 0xFF)
            at++;
        if (at >= s.n)
            break;

        unsigned marker = s.p[at++];
        if (stands_alone(marker))
            continue;
        if (marker == start_of_scan || marker == end_of_image)
            break;
        if (is_frame_header(marker))
            return sniff_sized(SNIFF_JPEG, span_be(s, at + 5, 2), span_be(s, at + 3, 2));
        uint64_t len = span_be(s, at, 2);
        if (len < 2)
            break;
        at += len;
    }
    return sniff_sized(SNIFF_JPEG, 0, 0);
}

/* PNG: W3C PNG (Third Edition), 5.2 and 11.2.1: IHDR is the first chunk. */
struct sniff sniff_png(struct span s)
{
    if (!span_equals(s, 12, "IHDR", 4))
        return sniff_sized(SNIFF_PNG, 0, 0);
    return sniff_sized(SNIFF_PNG, span_be(s, 16, 4), span_be(s, 20, 4));
}

/* GIF: GIF89a specification, section 18 (logical screen descriptor). */
struct sniff sniff_gif(struct span s)
{
    return sniff_sized(SNIFF_GIF, span_le(s, 6, 2), span_le(s, 8, 2));
}

/* WebP: RFC 9649, sections 2.4 to 2.7 and 3.4; the key frame of VP8 is RFC 6386, section 9.1. */
struct sniff sniff_webp(struct span s)
{
    uint64_t width = 0, height = 0;

    if (!span_equals(s, 0, "RIFF", 4))
        return (struct sniff){.kind = SNIFF_NONE};
    if (span_equals(s, 12, "VP8 ", 4) && span_equals(s, 23, "\x9D\x01\x2A", 3)) {
        width = span_le(s, 26, 2) & 0x3FFF;
        height = span_le(s, 28, 2) & 0x3FFF;
    } else if (span_equals(s, 12, "VP8L", 4) && span_equals(s, 20, "\x2F", 1) && span_has(s, 21, 4)) {
        uint64_t bits = span_le(s, 21, 4);
        width = (bits & 0x3FFF) + 1;
        height = (bits >> 14 & 0x3FFF) + 1;
    } else if (span_equals(s, 12, "VP8X", 4) && span_has(s, 24, 6)) {
        width = span_le(s, 24, 3) + 1;
        height = span_le(s, 27, 3) + 1;
    }
    return sniff_sized(SNIFF_WEBP, width, height);
}

static bool is_depth(uint64_t bits)
{
    static const unsigned char depths[] = {0, 1, 2, 4, 8, 16, 24, 32, 64};
    return bits < 256 && memchr(depths, (int)bits, sizeof depths);
}

/* BMP: Microsoft, "Bitmap Storage" with BITMAPCOREHEADER, BITMAPINFOHEADER and its successors. "BM" alone begins many
 * a text, so the fields that can hold few values are checked too. */
struct sniff sniff_bmp(struct span s)
{
    static const unsigned char header_sizes[] = {12, 16, 40, 52, 56, 64, 108, 124};
    const unsigned core = 12;
    const struct sniff none = {.kind = SNIFF_NONE};

    uint64_t header = span_le(s, 14, 4);
    if (header > 255 || !memchr(header_sizes, (int)header, sizeof header_sizes))
        return none;
    size_t planes = header == core ? 22 : 26;
    if (!span_has(s, planes, 4) || span_le(s, planes, 2) != 1 || !is_depth(span_le(s, planes + 2, 2)))
        return none;
    if (header == core)
        return sniff_sized(SNIFF_BMP, span_le(s, 18, 2), span_le(s, 20, 2));

    int64_t height = (int32_t)span_le(s, 22, 4);
    return sniff_sized(SNIFF_BMP, span_le(s, 18, 4),
                       (uint64_t)(height < 0 ? -height : height)); /* < 0: top row first */
}

/* What an icon's entry points to: a whole PNG, or a bitmap that begins with its header's length. */
static bool is_icon_image(struct span s, uint64_t offset)
{
    if (offset > s.n)
        return false;
    return span_equals(s, offset, "\x89PNG\r\n\x1A\n", 8) || span_le(s, offset, 4) == 40;
}

/* ICO: Microsoft, "Icons" (the directory ICONDIR and its ICONDIRENTRY). Its magic number is all zeros but for one bit,
 * so every entry must make sense and the chosen one must point to an image. */
struct sniff sniff_ico(struct span s)
{
    const size_t header = 6, entry = 16, smallest_image = 40;
    const struct sniff none = {.kind = SNIFF_NONE};
    uint64_t count = span_le(s, 4, 2), best_width = 0, best_height = 0, best_offset = 0;

    if (!count || !span_has(s, header, count * entry))
        return none;
    for (size_t at = header; at < header + count * entry; at += entry) {
        uint64_t width = span_le(s, at, 1), height = span_le(s, at + 1, 1);
        uint64_t reserved = span_le(s, at + 3, 1), offset = span_le(s, at + 12, 4);
        /* Reserved is 0 by the book; .NET's Icon.Save writes 255. */
        if ((reserved != 0 && reserved != 255) || span_le(s, at + 4, 2) > 1 || !is_depth(span_le(s, at + 6, 2)) ||
            span_le(s, at + 8, 4) < smallest_image || offset < header + count * entry)
            return none;
        width = width ? width : 256;
        height = height ? height : 256;
        if (width * height > best_width * best_height) {
            best_width = width;
            best_height = height;
            best_offset = offset;
        }
    }
    if (!is_icon_image(s, best_offset))
        return none;
    return sniff_sized(SNIFF_ICO, best_width, best_height);
}

/* TIFF: Adobe TIFF 6.0, section 2. BigTIFF (version 43) has the same shape with wider fields. */

struct tiff {
    struct span s;
    bool little;
};

static uint64_t tiff_number(const struct tiff *t, size_t at, size_t len)
{
    return t->little ? span_le(t->s, at, len) : span_be(t->s, at, len);
}

/* A value of type SHORT, LONG or LONG8, left-aligned in its field at `at`; 0 for the other types. */
static uint64_t tiff_value(const struct tiff *t, uint64_t type, size_t at)
{
    switch (type) {
    case 3:
        return tiff_number(t, at, 2);
    case 4:
        return tiff_number(t, at, 4);
    case 16:
        return tiff_number(t, at, 8);
    default:
        return 0;
    }
}

struct sniff sniff_tiff(struct span s)
{
    const struct tiff t = {s, s.p[0] == 'I'};
    const bool big = tiff_number(&t, 2, 2) == 43;
    const size_t count_len = big ? 8 : 2, entry = big ? 20 : 12, value = big ? 12 : 8;
    const uint64_t tag_width = 256, tag_height = 257;
    uint64_t width = 0, height = 0;

    uint64_t directory = big ? tiff_number(&t, 8, 8) : tiff_number(&t, 4, 4);
    if (!span_has(s, directory, count_len))
        return sniff_sized(SNIFF_TIFF, 0, 0);

    uint64_t count = tiff_number(&t, directory, count_len);
    size_t at = directory + count_len;
    for (uint64_t i = 0; i < count && span_has(s, at, entry) && !(width && height); i++, at += entry) {
        uint64_t tag = tiff_number(&t, at, 2), type = tiff_number(&t, at + 2, 2);
        if (tag == tag_width)
            width = tiff_value(&t, type, at + value);
        else if (tag == tag_height)
            height = tiff_value(&t, type, at + value);
    }
    return sniff_sized(SNIFF_TIFF, width, height);
}
