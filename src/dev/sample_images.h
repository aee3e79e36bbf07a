/* A few dozen images as an app's uploads look: several kinds and sizes, nested folders, names with blanks and accents.
 */
#ifndef DEV_SAMPLE_IMAGES_H
#define DEV_SAMPLE_IMAGES_H

#include <stdint.h>

#include "base/error.h"

/* Makes them all and writes them beneath root_fd the way an app does: open, write, close. Sets how many and how many
 * bytes. -EEXIST when one of the names is taken; what was written before a failure stays. */
int sample_images_write(int root_fd, int *ret_count, int64_t *ret_bytes, struct error *e)
    __attribute__((warn_unused_result));

#endif
