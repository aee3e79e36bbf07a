/* Bodies as clients send them and as they should not; each is fed whole, byte by byte, and in pieces of all sizes. */
#include "codec/multipart.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *content_type;
    const char *boundary; /* NULL: refused */
} types[] = {
    {"multipart/form-data; boundary=abc", "abc"},
    {"Multipart/Form-Data;BOUNDARY=\"a b:c\"", "a b:c"},
    {"multipart/form-data; charset=utf-8; boundary=----WebKitFormBoundaryAbC123", "----WebKitFormBoundaryAbC123"},
    {"multipart/form-data; boundary=abc;", "abc"},
    {"multipart/form-data", NULL},
    {"multipart/form-data; boundary=", NULL},
    {"multipart/form-data; boundary=\"\"", NULL},
    {"multipart/form-data; boundary=\"abc", NULL},
    {"multipart/form-data; boundary=\"abc \"", NULL},
    {"multipart/form-data; boundary=a; boundary=b", NULL},
    {"multipart/form-data boundary=abc", NULL},
    {"multipart/form-data; boundary=a\"b", NULL},
    {"multipart/form-data; boundary=\"a\rb\"", NULL},
    {"multipart/form-dataset; boundary=abc", NULL},
    {"multipart/mixed; boundary=abc", NULL},
    {"application/x-www-form-urlencoded", NULL},
    {"multipart/form-data; boundary=0123456789012345678901234567890123456789012345678901234567890123456789",
     "0123456789012345678901234567890123456789012345678901234567890123456789"},
    {"multipart/form-data; boundary=01234567890123456789012345678901234567890123456789012345678901234567890", NULL},
    {"", NULL},
    {NULL, NULL},
};

#define PART(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"

/* The boundary is "b". Events: [name|filename|type:data] for each part. */
static const struct {
    const char *body, *events;
    int code; /* of feed or end */
} bodies[] = {
    {"--b\r\n" PART("a") "\r\nhello\r\n--b--\r\n", "[a||:hello]", 0},
    {"--b\r\n" PART("a") "\r\nhello\r\n--b--", "[a||:hello]", 0},
    {"--b\r\n" PART("a") "\r\n\r\n--b--", "[a||:]", 0},
    {"--b--", "", 0},
    {"\r\n--b--\r\nthe end\r\n--b\r\n", "", 0},
    {"This is ignored.\r\n--bless\r\n--b\r\n" PART("a") "\r\nx\r\n--b--", "", -EBADMSG},
    {"This is ignored. --b\r\n--b \t\r\n" PART("a") "\r\nx\r\n--b--", "[a||:x]", 0},
    {"--b\r\n" PART("a") "\r\n1\r\n--b\r\n" PART("b") "\r\n2\r\n--b--", "[a||:1][b||:2]", 0},
    /* A file, as browsers and curl send it. */
    {"--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"me.png\"\r\nContent-Type: image/png\r\n\r\n"
     "\x89PNG\r\n\x1a\n\r\n--b--\r\n",
     "[photo|me.png|image/png:\x89PNG\r\n\x1a\n]", 0},
    {"--b\r\ncontent-type:image/png\r\nCONTENT-DISPOSITION:form-data;name=photo;filename=me.png\r\n\r\nx\r\n--b--",
     "[photo|me.png|image/png:x]", 0},
    {"--b\r\nContent-Disposition: form-data; name=\"a\\\"b\"; filename=\"C:\\dir\\me.png\"\r\n\r\nx\r\n--b--",
     "[a\"b|C:\\dir\\me.png|:x]", 0},
    {"--b\r\nContent-Disposition: form-data; name=\"\xc3\xa9\"; filename=\"%22.png\"\r\n\r\nx\r\n--b--",
     "[\xc3\xa9|%22.png|:x]", 0},
    {"--b\r\n" PART("a") "Content-Transfer-Encoding: binary\r\nX-Other: 1\r\n\r\nx\r\n--b--", "[a||:x]", 0},
    /* What only begins like a delimiter is data. */
    {"--b\r\n" PART("a") "\r\n\r\r\n-\r\n--\r\n--c\r\n\r\n--b--", "[a||:\r\r\n-\r\n--\r\n--c\r\n]", 0},
    {"--b\r\n" PART("a") "\r\n\n--b\r--b--b\r\n--b--", "[a||:\n--b\r--b--b]", 0},
    /* Cut off. */
    {"", "", -EBADMSG},
    {"--", "", -EBADMSG},
    {"--b", "", -EBADMSG},
    {"--b-", "", -EBADMSG},
    {"--b\r\n", "", -EBADMSG},
    {"--b\r\n" PART("a"), "", -EBADMSG},
    {"--b\r\n" PART("a") "\r\n", "[a||:", -EBADMSG},
    {"--b\r\n" PART("a") "\r\nhello", "[a||:hello", -EBADMSG},
    {"--b\r\n" PART("a") "\r\nhello\r\n--", "[a||:hello", -EBADMSG},
    {"--b\r\n" PART("a") "\r\nhello\r\n--b", "[a||:hello]", -EBADMSG},
    {"--b\r\n" PART("a") "\r\nhello\r\n--b\r\n", "[a||:hello]", -EBADMSG},
    /* Malformed. */
    {"--bx\r\n" PART("a") "\r\nx\r\n--b--", "", -EBADMSG},
    {"--b-x\r\n", "", -EBADMSG},
    {"--b\rx", "", -EBADMSG},
    {"--b\n" PART("a") "\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\nContent-Disposition: form-data; name=\"\"\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\nContent-Disposition: form-data; name=a b\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\n" PART("a") PART("b") "\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\n" PART("a") " folded: yes\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\n" PART("a") "no colon\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\n" PART("a") "Name : x\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\n" PART("a") "X: a\nb\r\n\r\nx\r\n--b--", "", -EBADMSG},
    {"--b\r\n" PART("a") "Content-Transfer-Encoding: base64\r\n\r\nx\r\n--b--", "", -ENOTSUP},
};

struct log {
    char text[8192];
    size_t len;
    int refuse; /* what the callbacks return once there is so much text */
    size_t refuse_at;
};

static int add(struct log *log, const char *bytes, size_t n)
{
    assert_true(log->len + n < sizeof log->text);
    memcpy(log->text + log->len, bytes, n);
    log->text[log->len += n] = '\0';
    return log->refuse && log->len >= log->refuse_at ? log->refuse : 0;
}

static int on_begin(void *arg, const struct multipart_part *part)
{
    char text[sizeof *part + 8];
    int n = snprintf(text, sizeof text, "[%s|%s|%s:", part->name, part->filename, part->type);
    return add(arg, text, (size_t)n);
}

static int on_data(void *arg, const char *bytes, size_t n)
{
    assert_true(n > 0);
    return add(arg, bytes, n);
}

static int on_end(void *arg)
{
    return add(arg, "]", 1);
}

static const struct multipart_ops ops = {on_begin, on_data, on_end};

/* Feeds it in pieces; the memory of each ends where it ends, for the sanitizers to see. */
static int feed(struct log *log, const char *body, size_t n, size_t piece, struct error *e)
{
    struct multipart m;
    int r = 0;
    multipart_init(&m, "b", &ops, log);
    for (size_t i = 0; r == 0 && i < n; i += piece) {
        size_t now = n - i < piece ? n - i : piece;
        char *copy = malloc(now);
        assert_non_null(copy);
        memcpy(copy, body + i, now);
        r = multipart_feed(&m, copy, now, e);
        free(copy);
    }
    return r < 0 ? r : multipart_end(&m, e);
}

static void test_boundaries(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(types); i++) {
        char boundary[MULTIPART_BOUNDARY_MAX + 1] = "";
        struct error e;
        int r = multipart_boundary(boundary, types[i].content_type, &e);
        if (types[i].boundary) {
            assert_int_equal(r, 0);
            assert_string_equal(boundary, types[i].boundary);
        } else {
            assert_int_equal(r, -EINVAL);
        }
    }
}

static void test_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(bodies); i++) {
        size_t n = strlen(bodies[i].body);
        for (size_t piece = 1; piece <= n + 1; piece++) {
            struct log log = {0};
            struct error e = {0};
            int r = feed(&log, bodies[i].body, n, piece, &e);
            if (r != bodies[i].code || strcmp(log.text, bodies[i].events) != 0)
                print_error("%s\nin pieces of %zu: %d %s, %s\n", bodies[i].body, piece, r, e.text, log.text);
            assert_int_equal(r, bodies[i].code);
            assert_int_equal(e.code, r);
            assert_string_equal(log.text, bodies[i].events);
        }
    }
}

static void test_bytes_of_all_kinds(void **state)
{
    (void)state;
    static const char head[] = "--b\r\n" PART("a") "\r\n", tail[] = "\r\n--b--";
    char body[sizeof head + sizeof tail + 1024], data[1024];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i % 7 == 0 ? '\r' : i % 7 == 1 ? '\n' : i % 5 == 0 ? '-' : (int)i);
    memcpy(body, head, sizeof head - 1);
    memcpy(body + sizeof head - 1, data, sizeof data);
    memcpy(body + sizeof head - 1 + sizeof data, tail, sizeof tail - 1);
    size_t n = sizeof head - 1 + sizeof data + sizeof tail - 1;
    for (size_t piece = 1; piece <= n; piece++) {
        struct log log = {0};
        struct error e;
        assert_int_equal(feed(&log, body, n, piece, &e), 0);
        assert_int_equal(log.len, sizeof data + strlen("[a||:]"));
        assert_memory_equal(log.text + strlen("[a||:"), data, sizeof data);
    }
}

static void test_limits(void **state)
{
    (void)state;
    static char body[MULTIPART_HEAD_MAX * 4];
    struct log log = {0};
    struct error e;
    /* A head that does not end. */
    int n = snprintf(body, sizeof body, "--b\r\nX: %0*d", MULTIPART_HEAD_MAX, 0);
    assert_int_equal(feed(&log, body, (size_t)n, 1000, &e), -E2BIG);
    /* One that just fits. */
    n = snprintf(body, sizeof body, "--b\r\n" PART("a") "X: ");
    int padding = MULTIPART_HEAD_MAX - (n - 5) - 4;
    n = snprintf(body, sizeof body, "--b\r\n" PART("a") "X: %0*d\r\n\r\nx\r\n--b--", padding, 0);
    assert_int_equal(feed(&log, body, (size_t)n, 1000, &e), 0);
    /* Names. */
    n = snprintf(body, sizeof body, "--b\r\nContent-Disposition: form-data; name=\"%0*d\"\r\n\r\nx\r\n--b--",
                 MULTIPART_NAME_MAX + 1, 0);
    assert_int_equal(feed(&log, body, (size_t)n, 1000, &e), -EBADMSG);
    /* Parts. */
    n = 0;
    for (int i = 0; i <= MULTIPART_PARTS_MAX; i++)
        n += snprintf(body + n, sizeof body - (size_t)n, "--b\r\n" PART("a") "\r\nx\r\n");
    log.len = 0;
    assert_int_equal(feed(&log, body, (size_t)n, 1000, &e), -E2BIG);
    assert_int_equal(log.len, MULTIPART_PARTS_MAX * strlen("[a||:x]"));
}

/* Whatever a callback says ends the reading at once. */
static void test_refused_by_the_receiver(void **state)
{
    (void)state;
    const char *body = bodies[7].body;
    for (size_t at = 1; at <= strlen(bodies[7].events); at++) {
        struct log log = {.refuse = -ENOSPC, .refuse_at = at};
        struct error e;
        assert_int_equal(feed(&log, body, strlen(body), 3, &e), -ENOSPC);
        assert_true(log.len >= at && log.len <= at + strlen("[a||:"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boundaries),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_bytes_of_all_kinds),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_refused_by_the_receiver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
