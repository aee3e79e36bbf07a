/* Writing pictures as image files, each by the simplest means its format allows: nothing is compressed. */
#ifndef DEV_SAMPLE_FORMATS_H
#define DEV_SAMPLE_FORMATS_H

#include "base/buf.h"
#include "dev/sample_paint.h"

/* Each appends a whole file. 0, -EMSGSIZE, -ENOMEM. */
typedef int sample_format_fn(struct buf *out, const struct sample_picture *picture);

sample_format_fn sample_png, sample_bmp, sample_gif, sample_tiff;
sample_format_fn sample_ico; /* with a PNG inside; at most 255 pixels wide and high */

/* A drawing of its own, in the colours of the seed. */
int sample_svg(struct buf *out, int width, int height, unsigned seed) __attribute__((warn_unused_result));

#endif
