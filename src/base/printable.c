#include "base/printable.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define FORM_SIZE 5 /* of the longest form, "\x7f" or a character of four bytes, and a NUL */

/* Writes the visible form of the character (or the stray byte) at `text` and sets *ret_used to how many bytes of the
 * text that was. Returns the form's length. */
static size_t visible(char form[FORM_SIZE], const char *text, size_t left, size_t *ret_used)
{
    unsigned char c = (unsigned char)*text;
    size_t len = utf8_len(text, left);
    const char *name = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;

    *ret_used = len ? len : 1;
    if (name)
        return (size_t)snprintf(form, FORM_SIZE, "%s", name);
    if (!len || c < 0x20 || c == 0x7f)
        return (size_t)snprintf(form, FORM_SIZE, "\\x%02x", c);
    memcpy(form, text, len);
    return len;
}

const char *printable(char *dst, size_t size, const char *text)
{
    static const char more[] = "...";
    size_t used = 0, cut = 0; /* cut: as much as leaves room for "..." behind it */
    size_t left = strlen(text);

    while (left) {
        char form[FORM_SIZE];
        size_t from, n = visible(form, text, left, &from);
        if (used + n + 1 > size) {
            if (size >= sizeof more) {
                memcpy(dst + cut, more, sizeof more - 1);
                used = cut + sizeof more - 1;
            }
            break;
        }
        memcpy(dst + used, form, n);
        used += n;
        if (used + sizeof more <= size)
            cut = used;
        text += from;
        left -= from;
    }
    if (size)
        dst[used] = '\0';
    return dst;
}
