/* What S3 servers answer, as they do it and as nobody should. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/s3_xml.h"

#define XMLNS "http://s3.amazonaws.com/doc/2006-03-01/"

static void reads_errors(void **state)
{
    static const struct {
        const char *xml, *code, *message, *region;
    } cases[] = {
        {"<?xml version='1.0' encoding='UTF-8'?>\n<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>",
         "NoSuchKey", "gone", ""},
        {"<Error xmlns='" XMLNS "'><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>",
         "AuthorizationHeaderMalformed", "", "eu-west-1"},
        {"<s3:Error xmlns:s3='" XMLNS "'><s3:Code>A</s3:Code></s3:Error>", "A", "", ""},
        {"<Error><Detail><Code>not this one</Code></Detail><Code>B</Code></Error>", "B", "", ""},
        {"<Error><Code>C</Code><Message>a &lt;b&gt; &amp; &#x41;<![CDATA[<c>]]></Message></Error>", "C", "a <b> & A<c>",
         ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct s3_xml_error e;
        assert_int_equal(s3_xml_error(cases[i].xml, strlen(cases[i].xml), &e), 0);
        assert_string_equal(e.code, cases[i].code);
        assert_string_equal(e.message, cases[i].message);
        assert_string_equal(e.region, cases[i].region);
    }
}

static void refuses_what_is_no_error(void **state)
{
    static const char *const cases[] = {
        "",
        "404 not found",
        "<html><body>Bad Gateway</body></html>",
        "<Error>",
        "<Error></Error>",
        "<Error><Message>only</Message></Error>",
        "<ListBucketResult/>",
        "<Error><Code>A</Code></Error><Error/>",
        "<!DOCTYPE Error><Error><Code>A</Code></Error>",
        "<!DOCTYPE Error [<!ENTITY a 'A'>]><Error><Code>&a;</Code></Error>",
        "<!DOCTYPE Error [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><Error><Code>&a;</Code></Error>",
        "<Error><Code>&a;</Code></Error>",
        "<Error><Code>\x80</Code></Error>",
        "\xff\xfe<\0E\0",
        "<Error><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><Code>A</Code></a></a></a></a></a></a></a></a></a></"
        "a>"
        "</a></a></a></a></a></a></a></Error>",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct s3_xml_error e = {.code = "untouched"};
        assert_int_equal(s3_xml_error(cases[i], strlen(cases[i]), &e), -EINVAL);
        assert_string_equal(e.code, "untouched");
    }
}

static void cuts_what_is_too_long(void **state)
{
    static char xml[20000];
    struct s3_xml_error e;
    (void)state;
    int at = snprintf(xml, sizeof xml, "<Error><Code>A</Code><Message>");
    memset(xml + at, 'x', 10000);
    (void)snprintf(xml + at + 10000, 100, "</Message></Error>");
    assert_int_equal(s3_xml_error(xml, strlen(xml), &e), 0);
    assert_string_equal(e.code, "A");
    assert_true(strlen(e.message) < sizeof e.message);
}

static void reads_upload_ids(void **state)
{
    static const char xml[] = "<InitiateMultipartUploadResult xmlns='" XMLNS "'><Bucket>b</Bucket>"
                              "<UploadId>VXBsb2Fk/+=</UploadId></InitiateMultipartUploadResult>";
    static const char none[] = "<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>";
    char id[S3_XML_UPLOAD_ID_SIZE];
    (void)state;
    assert_int_equal(s3_xml_upload_id(xml, sizeof xml - 1, id), 0);
    assert_string_equal(id, "VXBsb2Fk/+=");
    assert_int_equal(s3_xml_upload_id(none, sizeof none - 1, id), -EINVAL);
}

static char seen[1000];

static int see(void *arg, const struct s3_xml_object *object)
{
    size_t n = strlen(seen);
    (void)snprintf(seen + n, sizeof seen - n, "%s %lld %s %lld;", object->key, (long long)object->size, object->etag,
                   (long long)object->modified_s);
    return arg ? -ECANCELED : 0;
}

#define PAGE                                                                                                           \
    "<ListBucketResult xmlns='" XMLNS "'><Name>b</Name><IsTruncated>true</IsTruncated>"                                \
    "<Contents><Key>a&amp;b</Key><Size>7</Size><ETag>&quot;e&quot;</ETag>"                                             \
    "<LastModified>2026-11-21T22:44:05.000Z</LastModified><Owner><ID>x</ID></Owner></Contents>"                        \
    "<Contents><Key>c</Key><Size>0</Size></Contents>"

static void reads_listings(void **state)
{
    static const char page[] = PAGE "<NextContinuationToken>t/+</NextContinuationToken></ListBucketResult>";
    static const char last[] = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    char next[S3_XML_TOKEN_SIZE];
    (void)state;
    *seen = '\0';
    assert_int_equal(s3_xml_list(page, sizeof page - 1, see, NULL, next), 0);
    assert_string_equal(seen, "a&b 7 \"e\" 1795301045;c 0  -1;");
    assert_string_equal(next, "t/+");
    assert_int_equal(s3_xml_list(last, sizeof last - 1, see, NULL, next), 0);
    assert_string_equal(next, "");
}

static void refuses_listings_that_make_no_sense(void **state)
{
    static const char endless[] = PAGE "</ListBucketResult>"; /* goes on, and does not say where */
    static const char nameless[] = "<ListBucketResult><Contents><Size>7</Size></Contents></ListBucketResult>";
    static const char sizeless[] =
        "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>";
    static const char page[] = PAGE "</ListBucketResult>";
    char next[S3_XML_TOKEN_SIZE], told[] = "stop";
    (void)state;
    assert_int_equal(s3_xml_list(endless, sizeof endless - 1, see, NULL, next), -EINVAL);
    assert_int_equal(s3_xml_list(nameless, sizeof nameless - 1, see, NULL, next), -EINVAL);
    assert_int_equal(s3_xml_list(sizeless, sizeof sizeless - 1, see, NULL, next), -EINVAL);
    *seen = '\0';
    assert_int_equal(s3_xml_list(page, sizeof page - 1, see, told, next), -ECANCELED);
    assert_string_equal(seen, "a&b 7 \"e\" 1795301045;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_errors),          cmocka_unit_test(refuses_what_is_no_error),
        cmocka_unit_test(cuts_what_is_too_long), cmocka_unit_test(reads_upload_ids),
        cmocka_unit_test(reads_listings),        cmocka_unit_test(refuses_listings_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
