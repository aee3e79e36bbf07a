#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/printable.h"

int error_set(struct error *e, int code, const char *fmt, ...)
{
    if (!e)
        return code;

    char raw[ERROR_TEXT_MAX + 4]; /* so long that printable() does the cutting, which keeps characters whole */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);

    e->code = code;
    printable(e->text, sizeof e->text, raw);
    return code;
}
