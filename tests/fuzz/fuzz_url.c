/* Request targets from anyone: the first byte picks path or query. What is accepted holds no NUL, has the slashes of
 * the raw path and no others, and comes back when it is encoded and decoded again. */
#include <stdint.h>

#include "base/utf8.h"
#include "codec/url.h"
#include "fs/safepath.h"

#define OUT_MAX 1048576

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
    if (!holds)
        abort();
}

static size_t slashes(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += text[i] == '/';
    return count;
}

static void fuzz_path(const char *raw, size_t n)
{
    char *path = malloc(n + 1);
    size_t len = SIZE_MAX;
    struct error e = {0};
    must(path != NULL);
    int r = url_decode_path(path, &len, raw, n, &e);
    must((r == 0) == !*e.text);
    if (r == 0) {
        struct buf again;
        must(len <= n && strlen(path) == len && slashes(path, len) == slashes(raw, n));
        (void)!safepath_check(path, len, NULL);
        buf_init(&again, OUT_MAX);
        if (url_encode_path(&again, path, len) == 0 && again.data) {
            char *back = malloc(again.len + 1);
            size_t back_len = SIZE_MAX;
            must(back && url_decode_path(back, &back_len, again.data, again.len, NULL) == 0);
            must(back_len == len && memcmp(back, path, len) == 0);
            free(back);
        }
        buf_release(&again);
    }
    free(path);
}

static void fuzz_query(const char *raw, size_t n)
{
    struct url_query q, again;
    struct error e = {0};
    struct buf text;
    (void)url_query_has(raw, n, "v");
    int r = url_query_parse(&q, raw, n, &e);
    must((r == 0) == !*e.text);
    if (r < 0)
        return;
    buf_init(&text, OUT_MAX);
    for (int i = 0; i < q.count; i++) {
        const struct url_param *p = &q.params[i];
        must(url_query_get(&q, p->name) == p->value);
        must(utf8_valid(p->name, strlen(p->name)) && utf8_valid(p->value, strlen(p->value)));
        must(buf_addstr(&text, "&") == 0 && url_encode_value(&text, p->name, strlen(p->name)) == 0);
        must(buf_addstr(&text, "=") == 0 && url_encode_value(&text, p->value, strlen(p->value)) == 0);
    }
    if (text.len <= URL_QUERY_MAX_BYTES) {
        must(url_query_parse(&again, text.data, text.len, NULL) == 0 && again.count == q.count);
        for (int i = 0; i < q.count; i++)
            must(strcmp(again.params[i].name, q.params[i].name) == 0 &&
                 strcmp(again.params[i].value, q.params[i].value) == 0);
        url_query_release(&again);
    }
    buf_release(&text);
    url_query_release(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    /* A copy of its exact size, for the address sanitizer to watch. */
    char *raw = malloc(size > 1 ? size - 1 : 1);
    must(raw != NULL);
    memcpy(raw, data + 1, size - 1);
    if (data[0] & 1)
        fuzz_path(raw, size - 1);
    else
        fuzz_query(raw, size - 1);
    free(raw);
    return 0;
}
