/* File names can hold anything but '/' and NUL; a line on a terminal or in a log can not. */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

#include <stddef.h>

/* Writes `text` into dst (size bytes, always terminated) on one line: control characters as \n, \r, \t or \xHH, the
 * rest (UTF-8 included) unchanged. What does not fit ends in "...". Returns dst, so that it can stand in a call. */
const char *printable(char *dst, size_t size, const char *text);

#endif
