/* Whether bytes may go where only UTF-8 is accepted: JSON, a PostgreSQL text column. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

/* 1 when all n bytes form well-formed UTF-8 (the Unicode Standard, table 3-7: nothing overlong, no surrogates, nothing
 * above U+10FFFF, no sequence cut off at the end), else 0. Empty is valid, and so is NUL, which PostgreSQL refuses:
 * callers that have a length of their own check for it. */
int utf8_valid(const char *s, size_t n);

/* The length of the one well-formed character that begins at s, which has `left` bytes; 0 when none does. */
size_t utf8_len(const char *s, size_t left);

/* Whether every character is one of ASCII, which all encodings of a database hold. */
int utf8_is_ascii(const char *text);

#endif
