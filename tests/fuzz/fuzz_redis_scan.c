/* Replies of a Redis that may send anything: what redis_scan lets through, hiredis reads to the same number of replies
 * or refuses, and where the pieces end makes no difference. */
#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdlib.h>

#include "client/redis_scan.h"

#define TEXT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* -1: it refuses them, as it does ":-0". */
static int64_t read_by_hiredis(const char *bytes, size_t n)
{
    redisReader *reader = redisReaderCreate();
    int64_t count = 0;
    void *reply = NULL;
    int code;
    if (!reader || redisReaderFeed(reader, bytes, n) != REDIS_OK)
        abort();
    while ((code = redisReaderGetReply(reader, &reply)) == REDIS_OK && reply) {
        freeReplyObject(reply);
        count++;
    }
    redisReaderFree(reader);
    return code == REDIS_OK ? count : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *bytes = (const char *)data;
    struct redis_scan whole, piecewise;
    redis_scan_init(&whole, TEXT_MAX);
    redis_scan_init(&piecewise, TEXT_MAX);
    int r = redis_scan_bytes(&whole, bytes, n), one = 0;
    for (size_t i = 0; i < n && one == 0; i++)
        one = redis_scan_bytes(&piecewise, bytes + i, 1);
    if (r != one || whole.replies != piecewise.replies)
        abort();
    int64_t read = r == 0 ? read_by_hiredis(bytes, n) : -1;
    if (read >= 0 && read != whole.replies)
        abort();
    return 0;
}
