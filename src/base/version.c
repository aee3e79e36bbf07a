#include "base/version.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>

/* The number at *at, which moves behind it and its dot. */
static long next(const char **at)
{
    char *end;
    if (!isdigit((unsigned char)**at))
        return 0;
    long number = strtol(*at, &end, 10);
    *at = *end == '.' ? end + 1 : "";
    return number;
}

int version_compare(const char *a, const char *b)
{
    int known = isdigit((unsigned char)*a), other_known = isdigit((unsigned char)*b);
    if (!known || !other_known)
        return other_known - known;
    while (*a || *b) {
        long x = next(&a), y = next(&b);
        if (x != y)
            return x < y ? -1 : 1;
        if (!isdigit((unsigned char)*a))
            a = "";
        if (!isdigit((unsigned char)*b))
            b = "";
    }
    return 0;
}
