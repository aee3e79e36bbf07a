#include "base/utf8.h"

/* Bytes that may begin a longer sequence. The lead byte narrows only the second byte; all later ones are 80..BF. */
static const struct sequence {
    unsigned char lead_first, lead_last;
    unsigned char second_first, second_last;
    unsigned char len;
} SEQUENCES[] = {
    {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3},
    {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

/* The length of the well-formed sequence at s, which has `left` bytes; 0 when there is none. */
static size_t sequence_len(const unsigned char *s, size_t left)
{
    for (size_t i = 0; i < sizeof SEQUENCES / sizeof SEQUENCES[0]; i++) {
        const struct sequence *q = &SEQUENCES[i];
        if (s[0] < q->lead_first || s[0] > q->lead_last)
            continue;
        if (left < q->len || s[1] < q->second_first || s[1] > q->second_last)
            return 0;
        for (size_t k = 2; k < q->len; k++) {
            if ((s[k] & 0xC0) != 0x80)
                return 0;
        }
        return q->len;
    }
    return 0;
}

size_t utf8_len(const char *s, size_t left)
{
    const unsigned char *p = (const unsigned char *)s;
    if (!left)
        return 0;
    return p[0] < 0x80 ? 1 : sequence_len(p, left);
}

int utf8_valid(const char *s, size_t n)
{
    for (size_t at = 0, len; at < n; at += len) {
        len = utf8_len(s + at, n - at);
        if (!len)
            return 0;
    }
    return 1;
}

int utf8_is_ascii(const char *text)
{
    while (*text && (unsigned char)*text < 0x80)
        text++;
    return !*text;
}
