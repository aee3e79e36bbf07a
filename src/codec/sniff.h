/* What kind of image bytes are, and how large it is in pixels, from the header alone: nothing is ever decoded. */
#ifndef CODEC_SNIFF_H
#define CODEC_SNIFF_H

#include <stddef.h>

enum sniff_kind {
    SNIFF_NONE, /* not an image that Perdura keeps */
    SNIFF_JPEG,
    SNIFF_PNG,
    SNIFF_GIF,
    SNIFF_WEBP,
    SNIFF_AVIF,
    SNIFF_HEIC,
    SNIFF_BMP,
    SNIFF_TIFF,
    SNIFF_ICO,
    SNIFF_SVG,
    SNIFF_KINDS
};

struct sniff {
    enum sniff_kind kind;
    int width;  /* pixels; 0 when the header does not tell (SVG without a size, damaged header) */
    int height; /* likewise; both are known or neither is */
};

/* Looks at the first n bytes of a file of any length (the whole file is best: a JPEG's size can stand behind a large
 * profile). Reads nothing beyond n. */
struct sniff sniff(const void *bytes, size_t n);

/* "image/jpeg", or NULL for SNIFF_NONE. Types as registered with IANA (image/vnd.microsoft.icon, image/svg+xml ...). */
const char *sniff_mime(enum sniff_kind kind);

/* The usual file name ending, without the dot ("jpg"), or NULL for SNIFF_NONE. */
const char *sniff_extension(enum sniff_kind kind);

/* The kind that a file name's ending claims, upper or lower case; SNIFF_NONE when it claims no image. */
enum sniff_kind sniff_claimed(const char *path);

#endif
