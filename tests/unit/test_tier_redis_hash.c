#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/zstd.h"
#include "tier/tier_redis_hash.h"

#define LEN(array) (sizeof(array) / sizeof(array)[0])

static const char svg[] = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"30\"><rect/><rect/><rect/>"
                          "<rect/><rect/><rect/><rect/><rect/><rect/><rect/><rect/><rect/><rect/><rect/></svg>";

static void names_keys(void **state)
{
    (void)state;
    static const struct {
        const char *content_type, *object_id, *variant;
        const char *key; /* NULL: none */
    } entities[] = {
        {"artist", "42", "background", "image:artist:42:background"},
        {"loyalty.product", "a:b", "c", "image:loyalty.product:a:b:c"},
        {"path", "media", "a.png", NULL},
        {NULL, NULL, NULL, NULL},
        {"artist", "42", NULL, NULL},
        {"artist", NULL, "cover", NULL},
        {"artist", "", "cover", NULL},
        {"", "42", "cover", NULL},
    };
    char key[TIER_REDIS_KEY_SIZE], text[2 * TIER_REDIS_KEY_SIZE];
    for (size_t i = 0; i < LEN(entities); i++) {
        int there = tier_redis_entity_key(key, entities[i].content_type, entities[i].object_id, entities[i].variant);
        assert_int_equal(there, entities[i].key != NULL);
        if (there)
            assert_string_equal(key, entities[i].key);
    }
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_false(tier_redis_entity_key(key, "artist", text, "cover"));
    tier_redis_path_key(key, &(struct image_key){"media", "a/b c.png"});
    assert_string_equal(key, "image:path:media:a/b c.png");
}

static struct image *make_image(void)
{
    struct image_meta meta = {.key = {"media", "a/b.svg"},
                              .content_type = "artist",
                              .object_id = "42",
                              .variant = "cover",
                              .mtime_ns = INT64_C(1700000000123456789),
                              .updated_us = INT64_C(1700000000000000),
                              .etag = "W/\"a b\"",
                              .checked_us = INT64_C(1700000000000007)};
    assert_int_equal(image_describe(&meta, svg, sizeof svg - 1, NULL), 0);
    struct image *image = image_new(&meta);
    assert_non_null(image);
    memcpy(image->bytes, svg, sizeof svg - 1);
    return image;
}

static void comes_back_as_it_was(void **state)
{
    (void)state;
    for (int encoding = TIER_REDIS_PLAIN; encoding <= TIER_REDIS_ZSTD; encoding++) {
        struct image *image = make_image(), *back;
        struct tier_redis_hash h;
        tier_redis_hash_init(&h, image, 1234, (enum tier_redis_encoding)encoding);
        assert_int_equal(h.lengths[TIER_REDIS_DATA] < sizeof svg - 1, encoding == TIER_REDIS_ZSTD);
        assert_int_equal(h.values[TIER_REDIS_ENCODING] != NULL, encoding == TIER_REDIS_ZSTD);
        assert_null(h.values[TIER_REDIS_SEE]);
        assert_string_equal(h.values[TIER_REDIS_CONTENT_TYPE], "image/svg+xml");
        assert_string_equal(h.values[TIER_REDIS_UPDATED_AT], "2023-11-14T22:13:20Z");
        assert_int_equal(tier_redis_hash_number(&h, TIER_REDIS_FETCH_US), 1234);
        assert_int_equal(tier_redis_hash_number(&h, TIER_REDIS_SEE), 0);
        assert_int_equal(tier_redis_hash_read(&h, &image->meta.key, 1000, &back), 0);
        assert_memory_equal(back->bytes, svg, sizeof svg - 1);
        assert_memory_equal(back->meta.sha256, image->meta.sha256, sizeof back->meta.sha256);
        assert_string_equal(back->meta.key.path, "a/b.svg");
        assert_string_equal(back->meta.content_type, "artist");
        assert_string_equal(back->meta.object_id, "42");
        assert_string_equal(back->meta.variant, "cover");
        assert_int_equal(back->meta.mtime_ns, image->meta.mtime_ns);
        assert_string_equal(back->meta.etag, "W/\"a b\"");
        assert_int_equal(back->meta.checked_us, INT64_C(1700000000000007));
        assert_int_equal(back->meta.width, 40);
        assert_int_equal(back->meta.height, 30);
        image_unref(back);
        tier_redis_hash_release(&h);
        image_unref(image);
    }
}

static void refuses_what_is_damaged(void **state)
{
    (void)state;
    static const struct {
        enum tier_redis_field field;
        const char *value; /* NULL: missing */
        int code;
    } cases[] = {
        {TIER_REDIS_DATA, NULL, -EBADMSG},
        {TIER_REDIS_DATA, "no image", -EBADMSG},
        {TIER_REDIS_ENCODING, "zstd", -EBADMSG},
        {TIER_REDIS_ENCODING, "gzip", -EBADMSG},
        {TIER_REDIS_CONTENT_TYPE, NULL, -EBADMSG},
        {TIER_REDIS_CONTENT_TYPE, "text/html", -EBADMSG},
        {TIER_REDIS_SHA256, NULL, -EBADMSG},
        {TIER_REDIS_SHA256, "00", -EBADMSG},
        {TIER_REDIS_SHA256, "0000000000000000000000000000000000000000000000000000000000000000", -EBADMSG},
        {TIER_REDIS_SIZE, NULL, -EBADMSG},
        {TIER_REDIS_SIZE, "0", -EBADMSG},
        {TIER_REDIS_SIZE, "-5", -EBADMSG},
        {TIER_REDIS_SIZE, "17", -EBADMSG},
        {TIER_REDIS_SIZE, "99999999999999", -ENOENT},
        {TIER_REDIS_PATH, "another.svg", -ENOENT},
        {TIER_REDIS_PATH, NULL, -ENOENT},
        {TIER_REDIS_COLLECTION, "other", -ENOENT},
    };
    struct image *image = make_image(), *back;
    for (size_t i = 0; i < LEN(cases); i++) {
        struct tier_redis_hash h;
        tier_redis_hash_init(&h, image, 0, TIER_REDIS_PLAIN);
        h.values[cases[i].field] = cases[i].value;
        h.lengths[cases[i].field] = cases[i].value ? strlen(cases[i].value) : 0;
        assert_int_equal(tier_redis_hash_read(&h, &image->meta.key, 1000, &back), cases[i].code);
        tier_redis_hash_release(&h);
    }
    image_unref(image);
}

static void refreshes_towards_the_end(void **state)
{
    (void)state;
    assert_true(tier_redis_is_due(0, 1000, 1.0));
    assert_false(tier_redis_is_due(1, 1000, 1.0)); /* -ln 1 = 0 */
    assert_true(tier_redis_is_due(4, 2000, 0.1));  /* 2 ms * 2.3 */
    assert_false(tier_redis_is_due(5, 2000, 0.1));
    assert_false(tier_redis_is_due(100000, 0, 1e-9)); /* costs nothing: no need to */
    assert_true(tier_redis_is_due(20000, 1000000, 1e-9));
    assert_false(tier_redis_is_due(21000, 1000000, 1e-9));
}

static void zstd_keeps_its_limits(void **state)
{
    (void)state;
    char small[1000], back[1000];
    size_t len, n;
    assert_int_equal(zstd_compress(small, sizeof small, &len, svg, sizeof svg), 0);
    assert_int_equal(zstd_decompress(back, sizeof back, &n, small, len), 0);
    assert_int_equal(n, sizeof svg);
    assert_memory_equal(back, svg, sizeof svg);
    assert_int_equal(zstd_decompress(back, sizeof svg - 1, &n, small, len), -EMSGSIZE);
    assert_int_equal(zstd_compress(small, 10, &n, svg, sizeof svg), -EMSGSIZE);
    assert_true(zstd_decompress(back, sizeof back, &n, small, len - 1) < 0);
    assert_int_equal(zstd_decompress(back, sizeof back, &n, svg, sizeof svg), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_keys),
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(refuses_what_is_damaged),
        cmocka_unit_test(refreshes_towards_the_end),
        cmocka_unit_test(zstd_keeps_its_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
