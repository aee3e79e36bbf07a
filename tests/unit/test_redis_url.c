#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/redis_url.h"

#define LEN(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *text;
    struct redis_url url;
} good[] = {
    {"redis://localhost", {.database = -1, .hosts_len = 1, .hosts = {{"localhost", 6379}}}},
    {"redis://localhost/", {.database = -1, .hosts_len = 1, .hosts = {{"localhost", 6379}}}},
    {"redis://localhost:6380/0", {.database = 0, .hosts_len = 1, .hosts = {{"localhost", 6380}}}},
    {"rediss://h:1/15", {.tls = true, .database = 15, .hosts_len = 1, .hosts = {{"h", 1}}}},
    {"redis://[::1]:7/2", {.database = 2, .hosts_len = 1, .hosts = {{"::1", 7}}}},
    {"redis://[fe80::1]", {.database = -1, .hosts_len = 1, .hosts = {{"fe80::1", 6379}}}},
    {"redis://:secret@h", {.password = "secret", .database = -1, .hosts_len = 1, .hosts = {{"h", 6379}}}},
    {"redis://user@h", {.user = "user", .database = -1, .hosts_len = 1, .hosts = {{"h", 6379}}}},
    {"redis://u:p@h", {.user = "u", .password = "p", .database = -1, .hosts_len = 1, .hosts = {{"h", 6379}}}},
    {"redis://u:a:b@h", {.user = "u", .password = "a:b", .database = -1, .hosts_len = 1, .hosts = {{"h", 6379}}}},
    {"redis://u:a@b@h", {.user = "u", .password = "a@b", .database = -1, .hosts_len = 1, .hosts = {{"h", 6379}}}},
    {"redis://:a%2Fb%40c%25@h/1", {.password = "a/b@c%", .database = 1, .hosts_len = 1, .hosts = {{"h", 6379}}}},
    {"redis+sentinel://a,b:2,[::1]:3/mymaster",
     {.master = "mymaster", .database = -1, .hosts_len = 3, .hosts = {{"a", 26379}, {"b", 2}, {"::1", 3}}}},
    {"rediss+sentinel://u:p@a:1/m/4",
     {.tls = true, .user = "u", .password = "p", .master = "m", .database = 4, .hosts_len = 1, .hosts = {{"a", 1}}}},
    {"valkeys://h:1/2", {.tls = true, .database = 2, .hosts_len = 1, .hosts = {{"h", 1}}}},
    {"redis://h/1?db=2", {.database = 2, .hosts_len = 1, .hosts = {{"h", 6379}}}},
    {"redis://:a?b@h?", {.password = "a?b", .database = -1, .hosts_len = 1, .hosts = {{"h", 6379}}}},
    {"rediss://h:1/0?ssl_cert_reqs=none",
     {.tls = true, .insecure = true, .database = 0, .hosts_len = 1, .hosts = {{"h", 1}}}},
    {"rediss://h?ssl_cert_reqs=required&socket_timeout=5&x",
     {.tls = true, .dropped = "socket_timeout, x", .database = -1, .hosts_len = 1, .hosts = {{"h", 6379}}}},
    {"redis://h?a%0ab=1&&=2", {.dropped = "a", .database = -1, .hosts_len = 1, .hosts = {{"h", 6379}}}},
    {"unix:///run/redis.sock", {.database = -1, .hosts_len = 1, .hosts = {{"/run/redis.sock", 0}}}},
    {"unix:///a/b?db=3", {.database = 3, .hosts_len = 1, .hosts = {{"/a/b", 0}}}},
    {"unix:///a%20b%3Fc:d@e", {.database = -1, .hosts_len = 1, .hosts = {{"/a b?c:d@e", 0}}}},
    {"unix://:a%2Fb@/s?db=0", {.password = "a/b", .database = 0, .hosts_len = 1, .hosts = {{"/s", 0}}}},
    {"unix://u:p@/s", {.user = "u", .password = "p", .database = -1, .hosts_len = 1, .hosts = {{"/s", 0}}}},
};

static const char *const bad[] = {
    "",
    "localhost:6379",
    "http://localhost",
    "redis:/localhost",
    "redis://",
    "redis:///0",
    "redis://:6379",
    "redis://h:",
    "redis://h:0",
    "redis://h:65536",
    "redis://h:6379x",
    "redis://h:-1",
    "redis://h/x",
    "redis://h/1/2",
    "redis://h/-1",
    "redis://h/65536",
    "redis://h/1?db=x",
    "redis://h?db=",
    "redis://a,b",
    "redis://[::1",
    "redis://[::1]x",
    "redis://a b",
    "redis://:%zz@h",
    "redis://:%4@h",
    "redis://:%00@h",
    "redis+sentinel://a",
    "redis+sentinel://a/",
    "redis+sentinel://a//1",
    "redis+sentinel://a,/m",
    "redis+sentinel://a:1,b:x/m",
    "redis+sentinel://1,2,3,4,5,6,7,8,9/m",
    "unix:/run/redis.sock",
    "unix://",
    "unix://run/redis.sock",
    "unix://u:p@run/redis.sock",
    "unix://?db=1",
    "unix:///s%zz",
    "unix:///s%00",
    "unix:///s?db=",
    "unix:///s?db=x",
    "unix:///s?db=65536",
};

static const struct {
    const char *text, *shown;
} masked[] = {
    {"redis://h:1/2", "redis://h:1/2"},
    {"redis://:secret@h:1/2", "redis://:***@h:1/2"},
    {"rediss://u:secret@h", "rediss://u:***@h"},
    {"redis://u:sec@ret@h", "redis://u:***@h"},
    {"redis+sentinel://u:s@a:1,b:2/m", "redis+sentinel://u:***@a:1,b:2/m"},
    {"unix://u:secret@/s?db=1", "unix://u:***@/s?db=1"},
};

static void reads_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(good); i++) {
        struct redis_url url;
        struct error e;
        if (redis_url_parse(good[i].text, &url, &e) < 0)
            fail_msg("%s: %s", good[i].text, e.text);
        const struct redis_url *want = &good[i].url;
        assert_int_equal(url.tls, want->tls);
        assert_int_equal(url.database, want->database);
        assert_int_equal(url.hosts_len, want->hosts_len);
        assert_string_equal(url.user, want->user);
        assert_string_equal(url.password, want->password);
        assert_string_equal(url.master, want->master);
        for (int k = 0; k < want->hosts_len; k++) {
            assert_string_equal(url.hosts[k].name, want->hosts[k].name);
            assert_int_equal(url.hosts[k].port, want->hosts[k].port);
        }
    }
}

static void refuses_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(bad); i++) {
        struct redis_url url;
        struct error e;
        if (redis_url_parse(bad[i], &url, &e) != -EINVAL)
            fail_msg("%s was accepted", bad[i]);
        assert_non_null(strstr(e.text, "; accepted: redis://"));
    }
}

static void refuses_what_is_too_long(void **state)
{
    (void)state;
    char text[2000];
    struct redis_url url;
    static const char *const around[][2] = {
        {"redis://:", "@h"}, {"redis://", ""}, {"redis+sentinel://a/", ""}, {"unix://:", "@/s"}, {"unix:///", ""}};
    for (size_t i = 0; i < LEN(around); i++) {
        memset(text, 'a', sizeof text); /* a name of 1,000 letters */
        size_t n = strlen(around[i][0]);
        memcpy(text, around[i][0], n);
        memcpy(text + n + 1000, around[i][1], strlen(around[i][1]) + 1);
        assert_int_equal(redis_url_parse(text, &url, NULL), -EINVAL);
    }
}

static void takes_a_socket_of_107_bytes_and_no_more(void **state)
{
    (void)state;
    char text[200] = "unix:///";
    struct redis_url url;
    memset(text + strlen(text), 'a', 107);
    assert_int_equal(redis_url_parse(text, &url, NULL), -EINVAL);
    text[strlen("unix://") + 107] = '\0';
    assert_int_equal(redis_url_parse(text, &url, NULL), 0);
    assert_int_equal(strlen(url.hosts[0].name), 107);
}

static void tells_where_a_host_is(void **state)
{
    (void)state;
    static const struct redis_url_host name = {"h", 7}, path = {"/run/redis.sock", 0};
    char text[REDIS_URL_HOST_SIZE];
    assert_string_equal(redis_url_host_text(&name, text), "h:7");
    assert_string_equal(redis_url_host_text(&path, text), "/run/redis.sock");
}

static void hides_passwords(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(masked); i++) {
        struct buf out;
        buf_init(&out, 1000);
        assert_int_equal(redis_url_mask(masked[i].text, &out), 0);
        assert_string_equal(out.data, masked[i].shown);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_urls),
        cmocka_unit_test(refuses_others),
        cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(takes_a_socket_of_107_bytes_and_no_more),
        cmocka_unit_test(tells_where_a_host_is),
        cmocka_unit_test(hides_passwords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
