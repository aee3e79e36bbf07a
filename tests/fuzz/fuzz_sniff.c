/* Any bytes: no read beyond them (the sanitizers watch), and the answer keeps what codec/sniff.h promises. */
#include <stdint.h>
#include <stdlib.h>

#include "codec/sniff.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct sniff s = sniff(bytes, n);

    if ((unsigned)s.kind >= SNIFF_KINDS || s.width < 0 || s.height < 0 || !s.width != !s.height)
        abort();
    if (s.kind == SNIFF_NONE && s.width)
        abort();
    if (!sniff_mime(s.kind) != (s.kind == SNIFF_NONE))
        abort();
    return 0;
}
