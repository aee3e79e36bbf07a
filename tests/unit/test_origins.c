#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/origins.h"

#define LEN(array) (sizeof(array) / sizeof(array)[0])

static int load(struct config *c, const char *value, struct error *e)
{
    char origins[512];
    snprintf(origins, sizeof origins, "PERDURA_ORIGINS=%s", value);
    char *env[] = {origins, (char *)"PERDURA_COLLECTIONS=avatars=./a", NULL};
    return config_load(c, NULL, env, NULL, e);
}

static void check_text(const char *found, const char *expected)
{
    if (expected)
        assert_string_equal(found, expected);
    else
        assert_null(found);
}

static const struct {
    const char *place, *bucket, *prefix, *url;
} good[] = {
    {"s3://petmatch-mascotas", "petmatch-mascotas", "", NULL},
    {"s3://petmatch-mascotas/", "petmatch-mascotas", "", NULL},
    {"s3://bucket/prefix", "bucket", "prefix/", NULL},
    {"S3://Old_Bucket.1/a=b/c", "Old_Bucket.1", "a=b/c/", NULL},
    {"https://res.cloudinary.com/x/", NULL, NULL, "https://res.cloudinary.com/x/"},
    {"https://res.cloudinary.com", NULL, NULL, "https://res.cloudinary.com/"},
    {"HTTPS://Res.Cloudinary.COM/Demo/Image", NULL, NULL, "https://res.cloudinary.com/Demo/Image/"},
    {"http://127.0.0.1:8000", NULL, NULL, "http://127.0.0.1:8000/"},
    {"https://[2001:DB8::1]:65535/a", NULL, NULL, "https://[2001:db8::1]:65535/a/"},
    {"https://[::1]", NULL, NULL, "https://[::1]/"},
};

static void reads_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(good); i++) {
        char value[256];
        struct config c;
        struct error e = {0};
        snprintf(value, sizeof value, "x=%s", good[i].place);
        if (load(&c, value, &e) < 0)
            fail_msg("%s: %s", good[i].place, e.text);
        assert_int_equal(c.image_origins_len, 1);
        const struct image_origin *o = config_image_origin(&c, "x");
        assert_non_null(o);
        assert_int_equal(o->kind, good[i].url ? IMAGE_ORIGIN_WEB : IMAGE_ORIGIN_S3);
        check_text(o->bucket, good[i].bucket);
        check_text(o->prefix, good[i].prefix);
        check_text(o->url, good[i].url);
        config_release(&c);
    }
}

static void reads_lists(void **state)
{
    (void)state;
    struct config c;
    assert_int_equal(
        load(&c, ", mascotas=s3://petmatch-mascotas servicios=s3://bucket/prefix,legacy=https://h/x/ ,", NULL), 0);
    assert_int_equal(c.image_origins_len, 3);
    assert_string_equal(c.image_origins[0].collection, "mascotas");
    assert_string_equal(c.image_origins[1].collection, "servicios");
    assert_string_equal(c.image_origins[2].collection, "legacy");
    assert_ptr_equal(config_image_origin(&c, "legacy"), &c.image_origins[2]);
    assert_null(config_image_origin(&c, "media"));
    config_release(&c);

    assert_int_equal(config_load(&c, NULL, NULL, NULL, NULL), 0);
    assert_int_equal(c.image_origins_len, 0);
    assert_null(config_image_origin(&c, "mascotas"));
    config_release(&c);
}

static const struct {
    const char *value, *error;
} bad[] = {
    {"mascotas", "an origin \"mascotas\" without =s3://bucket; accepted: name=s3://bucket,"},
    {"=s3://bucket", "\"\" whose name is not 1 to 64"},
    {"Mascotas=s3://bucket", "\"Mascotas\" whose name"},
    {"a/b=s3://bucket", "\"a/b\" whose name"},
    {"media=s3://bucket", "\"media\" which is a collection with a folder"},
    {"avatars=s3://bucket", "\"avatars\" which is a collection with a folder"},
    {"x=s3://bucket,x=https://h/", "\"x\" twice"},
    {"x=", "begins neither with s3:// nor with https://"},
    {"x=bucket", "begins neither"},
    {"x=file:///etc", "begins neither"},
    {"x=ftp://h/", "begins neither"},
    {"x=s3://", "whose bucket is not"},
    {"x=s3:///prefix", "whose bucket is not"},
    {"x=s3://ab", "whose bucket is not"},
    {"x=s3://bu?ket", "whose bucket is not"},
    {"x=s3://.bucket", "whose bucket is not"},
    {"x=s3://a..b", "whose bucket is not"},
    {"x=s3://user@bucket", "whose bucket is not"},
    {"x=s3://bucket/a//b", "whose prefix is no path"},
    {"x=s3://bucket/../b", "whose prefix is no path"},
    {"x=s3://bucket/a?b", "whose prefix is no path"},
    {"x=s3://bucket/a%2fb", "whose prefix is no path"},
    {"x=https://", "whose URL has no host"},
    {"x=https:///a", "whose URL has no host"},
    {"x=https://h_h/a", "whose URL has no host"},
    {"x=https://h:/a", "whose URL has no host"},
    {"x=https://h:0/a", "whose URL has no host"},
    {"x=https://h:65536/a", "whose URL has no host"},
    {"x=https://h:80x/a", "whose URL has no host"},
    {"x=https://[::1/a", "whose URL has no host"},
    {"x=https://[]/a", "whose URL has no host"},
    {"x=https://[::g]/a", "whose URL has no host"},
    {"x=https://h?a", "more than a host and a path"},
    {"x=https://h#a", "more than a host and a path"},
    {"x=https://h/a?b=c", "more than a host and a path"},
    {"x=https://h/a/../b", "more than a host and a path"},
    {"x=https://allowed.com@evil/", "with a user in its URL"},
    {"x=https://u:p@h/", "with a user in its URL"},
};

static void refuses_with_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(bad); i++) {
        struct config c;
        struct error e = {0};
        if (load(&c, bad[i].value, &e) != -EINVAL)
            fail_msg("%s was accepted", bad[i].value);
        if (!strstr(e.text, bad[i].error) || strncmp(e.text, "PERDURA_ORIGINS: \"", 18) != 0 ||
            !strstr(e.text, "; accepted: "))
            fail_msg("\"%s\" does not say \"%s\"", e.text, bad[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_places),
        cmocka_unit_test(reads_lists),
        cmocka_unit_test(refuses_with_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
