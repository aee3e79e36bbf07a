/* Settings from anyone: the first byte picks a reader, the rest is its text. What can be read must print, and what was
 * printed must read back to the same. */
#include <stdint.h>

#include "config/collections.h"
#include "config/conninfo.h"
#include "config/dotenv.h"
#include "config/settings.h"

#define OUT_MAX 1048576

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

static void fuzz_dotenv(const char *text, size_t len)
{
    struct dotenv first, second;
    struct buf out;
    if (dotenv_parse(text, len, &first, NULL) < 0)
        return;
    buf_init(&out, OUT_MAX);
    for (size_t i = 0; i < first.len; i++) {
        check(buf_addf(&out, "%s=", first.pairs[i].name) == 0);
        check(dotenv_print_value(first.pairs[i].value, &out) == 0);
        check(buf_addstr(&out, " # comment\n") == 0);
    }
    /* Comments and escapes can make a large file larger than one may be. */
    if (out.len <= DOTENV_MAX_BYTES) {
        check(dotenv_parse(out.data ? out.data : "", out.len, &second, NULL) == 0);
        check(first.len == second.len);
        for (size_t i = 0; i < first.len; i++) {
            check(strcmp(first.pairs[i].name, second.pairs[i].name) == 0);
            check(strcmp(first.pairs[i].value, second.pairs[i].value) == 0);
        }
        dotenv_release(&second);
    }
    buf_release(&out);
    dotenv_release(&first);
}

static void fuzz_value(const struct value_type *type, const char *text)
{
    struct value first, second;
    struct error e = {0};
    struct buf out;
    if (value_parse(type, text, &first, &e) < 0) {
        check(e.code < 0 && *e.text);
        return;
    }
    buf_init(&out, OUT_MAX);
    check(value_print(type, &first, &out) == 0);
    check(value_parse(type, out.data, &second, NULL) == 0);
    check(first.number == second.number);
    check(first.text ? strcmp(first.text, second.text) == 0 : !second.text);
    value_release(&first);
    value_release(&second);
    buf_release(&out);
}

static void fuzz_conninfo(const char *text)
{
    static const char marked[] = "postgresql://u:p4ss%s@h/db";
    struct buf out, url;
    buf_init(&out, OUT_MAX);
    buf_init(&url, OUT_MAX);
    check(conninfo_mask(text, &out) == 0);
    buf_reset(&out);

    /* Whatever a password holds, nothing of it shows. */
    check(buf_addf(&url, marked, text) == 0);
    check(conninfo_mask(url.data, &out) == 0);
    check(!strstr(out.data, "p4ss"));
    check(strcmp(out.data, "postgresql://u:***@h/db") == 0 || strcmp(out.data, "postgresql://u:***") == 0);
    buf_release(&out);
    buf_release(&url);
}

static void fuzz_collections(const char *text)
{
    struct collections first = {0}, second = {0};
    struct buf out;
    buf_init(&out, OUT_MAX);
    if (collections_parse(&first, text, NULL) == 0) {
        for (size_t i = 0; i < first.len; i++) {
            const struct config_collection *c = &first.items[i];
            check(buf_addf(&out, "%s=%s%s%s ", c->name, c->root, c->url ? "@" : "", c->url ? c->url : "") == 0);
        }
        check(collections_parse(&second, out.data ? out.data : "", NULL) == 0);
        check(first.len == second.len);
        for (size_t i = 0; i < first.len; i++) {
            const struct config_collection *a = &first.items[i], *b = &second.items[i];
            check(strcmp(a->name, b->name) == 0 && strcmp(a->root, b->root) == 0);
            check(a->url ? strcmp(a->url, b->url) == 0 : !b->url);
        }
    }
    collections_release(&first);
    collections_release(&second);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    char *text = strndup((const char *)data + 1, size - 1);
    char nearest[CONFIG_NAME_SIZE];
    size_t what = data[0] % (CONFIG_LEN + 4);
    if (!text)
        return 0;

    if (what < CONFIG_LEN)
        fuzz_value(&settings[what].type, text);
    else if (what == CONFIG_LEN)
        fuzz_dotenv((const char *)data + 1, size - 1);
    else if (what == CONFIG_LEN + 1)
        fuzz_conninfo(text);
    else if (what == CONFIG_LEN + 2)
        fuzz_collections(text);
    else if (setting_nearest(text, nearest))
        check(config_find(nearest) >= 0);
    free(text);
    return 0;
}
