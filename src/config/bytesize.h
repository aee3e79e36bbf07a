/* Sizes as people write them: "5242880", "5 MiB", "64k", "5 MB". */
#ifndef CONFIG_BYTESIZE_H
#define CONFIG_BYTESIZE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Moves *pos over decimal digits, but not beyond `end`, and sets *ret to their number; numbers that int64_t does not
 * hold become INT64_MAX, which is beyond every limit. -EINVAL without any digit. */
int bytesize_digits(const char **pos, const char *end, int64_t *ret) __attribute__((warn_unused_result));

/* Reads all of `len` bytes: digits, perhaps blanks, perhaps a unit in any case: B; k K KiB, M MiB, G GiB (powers of
 * 1024); kB, MB, GB (powers of 1000). Too large ones become INT64_MAX. -EINVAL for anything else. */
int bytesize_parse(const char *text, size_t len, int64_t *ret) __attribute__((warn_unused_result));

/* Appends the size in the largest of GiB, MiB and KiB that divides it, else as a plain number. */
int bytesize_print(int64_t bytes, struct buf *out) __attribute__((warn_unused_result));

#endif
