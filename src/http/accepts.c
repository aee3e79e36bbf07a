#include "http/accepts.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t"

/* What follows the name of one element, which ends at `end`: "; q=0.5". No weight is 1, a malformed one 0. */
static int has_weight(const char *at, const char *end)
{
    at += strspn(at, BLANKS);
    if (at >= end)
        return 1;
    if (*at != ';')
        return 0;
    at += 1 + strspn(at + 1, BLANKS);
    if (strncasecmp(at, "q=", 2) != 0)
        return 0;
    at += 2;
    if (*at == '1')
        return 1;
    at += strspn(at, "0.");
    return at < end && *at >= '1' && *at <= '9';
}

int accepts_coding(const char *accept_encoding, const char *coding)
{
    int any = 0;
    const char *at = accept_encoding ? accept_encoding : "";
    for (at += strspn(at, BLANKS ","); *at; at += strspn(at, BLANKS ",")) {
        size_t name = strcspn(at, BLANKS ",;"), n = strcspn(at, ",");
        int weight = has_weight(at + name, at + n);
        if (name == strlen(coding) && strncasecmp(at, coding, name) == 0)
            return weight;
        if (name == 1 && *at == '*')
            any = weight;
        at += n;
    }
    return any;
}
