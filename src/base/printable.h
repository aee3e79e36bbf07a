/* File names can hold anything but '/' and NUL; a line on a terminal, in a log or in JSON can not. */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

#include <stddef.h>

/* Writes `text` into dst (size bytes, always terminated) as one line of valid UTF-8: control characters as \n, \r, \t
 * or \xHH, bytes that are not UTF-8 as \xHH, the rest unchanged. What does not fit ends in "...", never within a
 * character. Returns dst, so that it can stand in a call. */
const char *printable(char *dst, size_t size, const char *text);

#endif
