/* Any Range for a representation of any size: what is served exists, and what Content-Range says is that part. The
 * first 8 bytes are the size, shifted by a ninth so that small ones occur. Other fields with dates and tags likewise.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "codec/httpdate.h"
#include "http/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
    if (!holds)
        abort();
}

static void fuzz_range(const char *value, int64_t size)
{
    char content[RANGE_CONTENT_SIZE];
    struct range r = range_parse(value, size);
    int64_t first, last, whole;
    switch (r.status) {
    case RANGE_WHOLE:
        must(r.first == 0 && r.last == size - 1);
        break;
    case RANGE_PART:
        must(r.first >= 0 && r.first <= r.last && r.last < size);
        range_content(content, &r, size);
        must(sscanf(content, "bytes %" SCNd64 "-%" SCNd64 "/%" SCNd64, &first, &last, &whole) == 3);
        must(first == r.first && last == r.last && whole == size);
        break;
    case RANGE_UNSATISFIABLE:
        must(strncmp(range_content(content, &r, size), "bytes */", 8) == 0);
        break;
    default:
        must(0);
    }
}

static void fuzz_date(const char *value, int64_t now)
{
    int64_t seconds, again;
    char text[HTTPDATE_SIZE];
    if (httpdate_parse(value, now, &seconds) < 0)
        return;
    must(range_if_range(value, "\"x\"", seconds) || strchr(value, '-')); /* the century may be another then */
    if (seconds < 0)
        return;
    must(httpdate_parse(httpdate_format(text, seconds), now, &again) == 0 && again == seconds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t number = 0;
    if (size < 9)
        return 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | data[i];
    number >>= data[8] % 64;
    char *value = strndup((const char *)data + 9, size - 9);
    must(value != NULL);
    fuzz_range(value, (int64_t)(number >> 1));
    fuzz_date(value, (int64_t)number);
    free(value);
    return 0;
}
