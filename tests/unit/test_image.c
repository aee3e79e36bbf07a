#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "image/image.h"

static const unsigned char gif[] = "GIF89a\x02\x00\x03\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x02\x00"
                                   "\x03\x00\x00\x02\x03\x84\x11\x05;";

static void test_an_image_owns_its_strings(void **state)
{
    (void)state;
    char path[] = "a/b.gif", mime[] = "image/gif";
    struct image_meta meta = {.key = {"media", path}, .mime = mime, .variant = "cover", .size = 3};
    struct image *image = image_new(&meta);
    assert_non_null(image);
    memcpy(image->bytes, "abc", 3);
    path[0] = mime[0] = 'X';
    assert_string_equal(image->meta.key.path, "a/b.gif");
    assert_string_equal(image->meta.key.collection, "media");
    assert_string_equal(image->meta.mime, "image/gif");
    assert_string_equal(image->meta.variant, "cover");
    assert_null(image->meta.object_id);
    assert_memory_equal(image->bytes, "abc", 3);
    assert_ptr_equal(image_ref(image), image);
    image_unref(image);
    assert_string_equal(image->meta.key.path, "a/b.gif"); /* one reference is left */
    image_unref(image);
    image_unref(NULL);
}

static void test_describe(void **state)
{
    (void)state;
    struct image_meta meta = {.key = {"media", "wrong-ending.png"}};
    assert_int_equal(image_describe(&meta, gif, sizeof gif - 1, NULL), 0);
    assert_string_equal(meta.mime, "image/gif"); /* the content counts, not the name */
    assert_int_equal(meta.width, 2);
    assert_int_equal(meta.height, 3);
    assert_int_equal(meta.size, sizeof gif - 1);
    assert_int_equal(image_verify(&meta, gif, sizeof gif - 1, NULL), 0);
}

static void test_what_is_no_image_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *path, *bytes;
        size_t n;
        const char *text;
    } cases[] = {
        {"a.jpg", "", 0, "is empty"},
        {"a.jpg", "hello", 5, "holds text, not image/jpeg"},
        {"a.PNG", "<html></html>", 13, "holds HTML or XML, not image/png"},
        {"a", "%PDF-1.7\n", 9, "holds a PDF, not an image"},
        {"a.webp",
         "\0\0\0\x20"
         "ftypmp42\0\0\0\0",
         16, "holds a video, not image/webp"},
        {"a.ico",
         "\x7f"
         "ELF\x02\x01\x01\0",
         8, "holds unknown data, not image/vnd.microsoft.icon"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct image_meta meta = {.key = {"media", cases[i].path}};
        struct error e;
        assert_int_equal(image_describe(&meta, cases[i].bytes, cases[i].n, &e), -EINVAL);
        assert_string_equal(e.text, cases[i].text);
        assert_null(meta.mime);
    }
}

static void test_verify_refuses_other_bytes(void **state)
{
    (void)state;
    unsigned char bytes[sizeof gif];
    struct image_meta meta = {.key = {"media", "a.gif"}};
    struct error e;
    memcpy(bytes, gif, sizeof gif);
    assert_int_equal(image_describe(&meta, bytes, sizeof gif - 1, NULL), 0);
    bytes[20] ^= 1;
    assert_int_equal(image_verify(&meta, bytes, sizeof gif - 1, &e), -EBADMSG);
    assert_non_null(strstr(e.text, "sha256"));
    bytes[20] ^= 1;
    assert_int_equal(image_verify(&meta, bytes, sizeof gif - 2, &e), -EBADMSG);
    meta.sha256[31] ^= 1;
    assert_int_equal(image_verify(&meta, bytes, sizeof gif - 1, &e), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_image_owns_its_strings),
        cmocka_unit_test(test_describe),
        cmocka_unit_test(test_what_is_no_image_is_told),
        cmocka_unit_test(test_verify_refuses_other_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
