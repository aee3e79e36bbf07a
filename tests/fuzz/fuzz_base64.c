/* All ways agree on any input, whether taken as bytes to encode or as text to decode. */
#include <stdint.h>

#include "codec/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(int holds)
{
    if (!holds)
        abort();
}

/* Exactly as large as promised, for the address sanitizer to watch; never NULL. */
static void *room(size_t n)
{
    void *p = malloc(n ? n : 1);

    must(p != NULL);
    return p;
}

static void check_encode(const uint8_t *bytes, size_t n)
{
    size_t chars = base64_encoded_len(n);
    char *first = room(chars);

    must(base64_use(BASE64_PORTABLE) == 0);
    must(base64_encode(first, bytes, n) == chars);
    for (int way = 0; way < BASE64_WAYS; way++) {
        char *text;
        uint8_t *back;
        size_t len = SIZE_MAX;

        if (base64_use(way) < 0)
            continue;
        text = room(chars);
        back = room(base64_decoded_max(chars));
        must(base64_encode(text, bytes, n) == chars);
        must(memcmp(text, first, chars) == 0);
        must(base64_decode(back, &len, text, chars) == 0);
        must(len == n);
        must(n == 0 || memcmp(back, bytes, n) == 0);
        free(text);
        free(back);
    }
    free(first);
}

static void check_decode(const char *text, size_t n)
{
    uint8_t *first = room(base64_decoded_max(n));
    size_t first_len = SIZE_MAX;
    int first_r;

    must(base64_use(BASE64_PORTABLE) == 0);
    first_r = base64_decode(first, &first_len, text, n);
    for (int way = 0; way < BASE64_WAYS; way++) {
        uint8_t *bytes;
        size_t len = SIZE_MAX;

        if (base64_use(way) < 0)
            continue;
        bytes = room(base64_decoded_max(n));
        must(base64_decode(bytes, &len, text, n) == first_r);
        must(len == first_len);
        if (first_r == 0) {
            /* What is accepted is the only text of its bytes. */
            char *again = room(n);

            must(memcmp(bytes, first, len) == 0);
            must(base64_encoded_len(len) == n);
            base64_encode(again, bytes, len);
            must(n == 0 || memcmp(again, text, n) == 0);
            free(again);
        }
        free(bytes);
    }
    free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    check_encode(bytes, n);
    check_decode((const char *)bytes, n);
    return 0;
}
