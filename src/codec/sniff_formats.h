/* Inside of the sniffer: one function per format, and the only way in which they read bytes.
 *
 * Reading outside of a span gives 0 instead of a fault, and no format has a meaning for a size of 0, so that a
 * cut-off or lying header ends in "size unknown" without a check at each field. Only offsets that come from the file
 * need care: they are compared with the length before anything is added to them. */
#ifndef CODEC_SNIFF_FORMATS_H
#define CODEC_SNIFF_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "codec/sniff.h"

struct span {
    const unsigned char *p;
    size_t n;
};

static inline bool span_has(struct span s, size_t at, size_t len)
{
    return at <= s.n && len <= s.n - at;
}

/* What lies from `at` on, at most `len` bytes; empty when that is outside. */
static inline struct span span_cut(struct span s, size_t at, size_t len)
{
    if (at >= s.n)
        return (struct span){NULL, 0};
    return (struct span){s.p + at, len < s.n - at ? len : s.n - at};
}

static inline bool span_equals(struct span s, size_t at, const char *bytes, size_t len)
{
    return span_has(s, at, len) && memcmp(s.p + at, bytes, len) == 0;
}

/* The unsigned number of `len` bytes (1 to 8) at `at`, most significant byte first. */
static inline uint64_t span_be(struct span s, size_t at, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; span_has(s, at, len) && i < len; i++)
        v = v << 8 | s.p[at + i];
    return v;
}

/* The same, least significant byte first. */
static inline uint64_t span_le(struct span s, size_t at, size_t len)
{
    uint64_t v = 0;
    for (size_t i = len; span_has(s, at, len) && i > 0; i--)
        v = v << 8 | s.p[at + i - 1];
    return v;
}

/* The answer for a file of this kind. A size that no image can have is one that the header does not tell. */
struct sniff sniff_sized(enum sniff_kind kind, uint64_t width, uint64_t height);

/* Each is called when the magic number of its format matched, looks further, and answers SNIFF_NONE if it is not one.
 */
struct sniff sniff_jpeg(struct span s);
struct sniff sniff_png(struct span s);
struct sniff sniff_gif(struct span s);
struct sniff sniff_webp(struct span s);
struct sniff sniff_bmp(struct span s);
struct sniff sniff_tiff(struct span s);
struct sniff sniff_ico(struct span s);
struct sniff sniff_bmff(struct span s); /* AVIF and HEIC */
struct sniff sniff_svg(struct span s);

#endif
