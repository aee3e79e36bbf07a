#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/printable.h"

static int set(struct error *e, int code, int is_sentence, const char *fmt, va_list ap)
{
    if (!e)
        return code;

    char raw[ERROR_TEXT_MAX + 4]; /* so long that printable() does the cutting, which keeps characters whole */
    vsnprintf(raw, sizeof raw, fmt, ap);

    e->code = code;
    e->is_sentence = is_sentence;
    printable(e->text, sizeof e->text, raw);
    return code;
}

int error_set(struct error *e, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set(e, code, 0, fmt, ap);
    va_end(ap);
    return code;
}

int error_set_sentence(struct error *e, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set(e, code, 1, fmt, ap);
    va_end(ap);
    return code;
}

int error_pass(struct error *e, int code, const struct error *said)
{
    if (!e)
        return code;
    *e = *said;
    return e->code = code;
}
