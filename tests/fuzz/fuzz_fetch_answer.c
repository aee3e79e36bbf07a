/* The head of an HTTP answer, line by line: nothing is read or written beyond its place, and what is kept has no
 * control characters. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/http_fetch_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const char *text, size_t size)
{
    size_t n = strnlen(text, size);
    if (n == size)
        abort();
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            abort();
}

static void check(const struct fetch_answer *a)
{
    check_text(a->etag, sizeof a->etag);
    check_text(a->content_type, sizeof a->content_type);
    check_text(a->last_modified, sizeof a->last_modified);
    check_text(a->cache_control, sizeof a->cache_control);
    check_text(a->region, sizeof a->region);
    if (a->length < -1 || a->first < -1 || a->last < -1 || a->whole_length < -1 || a->retry_after_s < -1)
        abort();
    if (a->end == FETCH_END_BY_LENGTH && a->length < 0 && !a->contradicts)
        abort();
}

/* Each line is handed over in a block of its own size: a byte beyond it is a fault. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fetch_answer a;
    fetch_answer_init(&a);
    while (n) {
        const uint8_t *end = memchr(data, '\n', n);
        size_t len = end ? (size_t)(end - data) + 1 : n;
        char *line = malloc(len);
        if (!line)
            return 0;
        memcpy(line, data, len);
        fetch_answer_line(&a, line, len);
        fetch_answer_detail(&a, line, len);
        free(line);
        check(&a);
        data += len;
        n -= len;
    }
    return 0;
}
