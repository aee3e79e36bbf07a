/* Whether an image is there to its end, by its own format: for bytes whose number nobody has told. */
#ifndef CODEC_SNIFF_END_H
#define CODEC_SNIFF_END_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/sniff.h"

/* Reads up to n bytes from `offset` on into dst: how many, 0 at the end, or -errno. */
typedef long sniff_read_fn(void *arg, void *dst, size_t n, int64_t offset);

/* true: the `size` bytes hold a whole image: PNG up to IEND, JPEG up to EOI, GIF up to its trailer, WebP and BMP as
 * long as their headers say. What follows that end does not count. false: they do not, they can't be read, or the
 * format has no end that could be seen (AVIF, HEIC, TIFF, ICO, SVG). */
bool sniff_is_whole(enum sniff_kind kind, sniff_read_fn *read, void *arg, int64_t size);

#endif
