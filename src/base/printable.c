#include "base/printable.h"

#include <stdio.h>
#include <string.h>

/* Writes one character's visible form, at most 4 bytes and a NUL, into out. Returns its length. */
static size_t visible(char out[5], unsigned char c)
{
    const char *name = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;
    if (name)
        return (size_t)snprintf(out, 5, "%s", name);
    if (c < 0x20 || c == 0x7f)
        return (size_t)snprintf(out, 5, "\\x%02x", c);
    out[0] = (char)c;
    out[1] = '\0';
    return 1;
}

const char *printable(char *dst, size_t size, const char *text)
{
    static const char more[] = "...";
    size_t used = 0;

    for (; *text; text++) {
        char form[5];
        size_t n = visible(form, (unsigned char)*text);
        if (used + n + 1 > size) {
            if (size >= sizeof more) {
                if (used > size - sizeof more)
                    used = size - sizeof more;
                memcpy(dst + used, more, sizeof more);
            } else if (size) {
                dst[used] = '\0';
            }
            return dst;
        }
        memcpy(dst + used, form, n);
        used += n;
    }
    if (size)
        dst[used] = '\0';
    return dst;
}
