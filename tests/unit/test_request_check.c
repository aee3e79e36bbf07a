/* Requests as they are sent, and what is said of them: over a connection of libmicrohttpd's, as in http/server.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <microhttpd.h>

#include "http/request_check.h"

#define LEN(a) (sizeof(a) / sizeof *(a))

/* Newer releases refuse more by themselves, in their own words. */
#define IS_STRICT (MHD_VERSION >= 0x00097701)

struct outcome {
    int calls, r;
    const char *why;
    struct request_facts facts;
};

static void *begin(void *arg, const char *uri, struct MHD_Connection *connection)
{
    (void)arg;
    (void)connection;
    return strdup(uri);
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *body, size_t *body_len, void **context)
{
    struct outcome *o = arg;
    struct request_line line = {method, url, *context, version};
    (void)body;
    (void)body_len;
    o->calls++;
    o->r = request_check(connection, &line, &o->facts, &o->why);
    return MHD_NO;
}

static void end(void *arg, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code)
{
    (void)arg;
    (void)connection;
    (void)code;
    free(*context);
}

/* Whatever libmicrohttpd says of the request is read, so that it is done with it on return. */
static struct outcome check(const char *request, size_t len)
{
    struct outcome o = {.r = 1};
    struct sockaddr_storage nowhere = {.ss_family = AF_UNIX};
    char answer[1024];
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, handle,
                         &o, MHD_OPTION_STRICT_FOR_CLIENT, IS_STRICT, MHD_OPTION_URI_LOG_CALLBACK, begin, NULL,
                         MHD_OPTION_NOTIFY_COMPLETED, end, NULL, MHD_OPTION_END);
    assert_non_null(daemon);
    assert_int_equal(write(ends[1], request, len), (ssize_t)len);
    assert_int_equal(MHD_add_connection(daemon, ends[0], (void *)&nowhere, sizeof nowhere), MHD_YES);
    while (recv(ends[1], answer, sizeof answer, 0) > 0)
        continue;
    close(ends[1]);
    MHD_stop_daemon(daemon);
    return o;
}

#define HOST "Host: a\r\n"
#define END  "\r\n"

static const struct {
    const char *request;
    int64_t body;
    int plain;
    size_t before_path, host_len;
} taken[] = {
    {"GET / HTTP/1.1\r\n" HOST END, 0, 1, 0, 0},
    {"GET / HTTP/1.0\r\n" END, 0, 1, 0, 0},
    {"GET /a%20b?c=d%00 HTTP/1.1\r\n" HOST END, 0, 1, 0, 0},
    {"GET / HTTP/1.1\r\n" HOST "X:\r\n" END, 0, 1, 0, 0},
    {"GET / HTTP/1.1\r\n" HOST "X: \ta\t b \r\n" END, 0, 1, 0, 0},
    {"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n" END, 0, 1, 0, 0},
    {"GET / HTTP/1.1\r\n" HOST "Range: bytes=0-1\r\n" END, 0, 0, 0, 0},
    {"GET / HTTP/1.1\r\n" HOST "if-none-match: \"a\"\r\n" END, 0, 0, 0, 0},
    {"GET / HTTP/1.1\r\n" HOST "If-Range: \"a\"\r\n" END, 0, 0, 0, 0},
    {"GET http://b.example:80/c HTTP/1.1\r\n" HOST END, 0, 1, 19, 12},
    {"GET HTTPS://b?c HTTP/1.1\r\n" HOST END, 0, 1, 9, 1},
    {"PUT / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END, 0, 1, 0, 0},
    {"PUT / HTTP/1.1\r\n" HOST "Content-Length: 0012\r\n" END, 12, 1, 0, 0},
    {"PUT / HTTP/1.1\r\n" HOST "Content-Length: 123456789012345678\r\n" END, 123456789012345678, 1, 0, 0},
    {"PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END, -1, 1, 0, 0},
    {"PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n" END, -1, 1, 0, 0},
    {"PUT / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n" END, 1, 1, 0, 0},
};

static void test_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(taken); i++) {
        struct outcome o = check(taken[i].request, strlen(taken[i].request));
        if (o.calls != 1 || o.r != 0)
            fail_msg("case %zu: %d (%s)\n%s", i, o.r, o.why ? o.why : "not asked", taken[i].request);
        assert_int_equal(o.facts.body, taken[i].body);
        assert_int_equal(o.facts.plain, taken[i].plain);
        assert_int_equal(o.facts.before_path, taken[i].before_path);
        assert_int_equal(o.facts.host_len, taken[i].host_len);
    }
}

/* `part` of the reason; NULL: refused for sure, if need be by libmicrohttpd alone. */
#define CASE(request, r, part)                                                                                         \
    {                                                                                                                  \
        request, sizeof(request) - 1, r, part                                                                          \
    }
static const struct {
    const char *request;
    size_t len;
    int r;
    const char *part;
} refused[] = {
    CASE("GET / HTTP/1.2\r\n" HOST END, -EPROTONOSUPPORT, NULL),
    CASE("GET / HTTP/1.1\r\n" END, -EBADMSG, NULL),
    CASE("GET / HTTP/1.1\r\n" HOST HOST END, -EBADMSG, "Host"),
    CASE("GET / HTTP/1.1\r\nHost: a/b\r\n" END, -EBADMSG, "Host"),
    CASE("GET / HTTP/1.1\r\nHost: u@a\r\n" END, -EBADMSG, "Host"),
    CASE("GET / HTTP/1.1\r\n" HOST "A(b: c\r\n" END, -EBADMSG, NULL),
    CASE("GET / HTTP/1.1\r\n" HOST "A: b\37c\r\n" END, -EBADMSG, NULL),
    CASE("GET / HTTP/1.1\r\n" HOST "A: b\177c\r\n" END, -EBADMSG, NULL),
    CASE("G@T / HTTP/1.1\r\n" HOST END, -EBADMSG, NULL),
    CASE("GET /\1 HTTP/1.1\r\n" HOST END, -EBADMSG, NULL),
    CASE("GET http:///a HTTP/1.1\r\n" HOST END, -EBADMSG, "no host"),
    CASE("GET http://:80/a HTTP/1.1\r\n" HOST END, -EBADMSG, "no host"),
    CASE("GET http://u@b/a HTTP/1.1\r\n" HOST END, -EBADMSG, "no host"),
    CASE("GET http://b#c HTTP/1.1\r\n" HOST END, -EBADMSG, "no host"),
    CASE("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n" END "a", -EBADMSG, NULL),
    CASE("PUT / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n" END "a", -EBADMSG, NULL),
    CASE("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n" END "a", -EBADMSG, NULL),
    CASE("PUT / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n" END "a", -EBADMSG, NULL),
    CASE("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1234567890123456789\r\n" END, -EBADMSG, NULL),
    CASE("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n" END, -EBADMSG, NULL),
    CASE("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END, -EBADMSG, NULL),
    CASE("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n" END, -EBADMSG, NULL),
    CASE("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n" END, -EBADMSG, NULL),
    CASE("PUT / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n" END, -EBADMSG, NULL),
    CASE("PUT / HTTP/1.1\r\n" HOST "Expect: magic\r\nContent-Length: 1\r\n" END, -ENOTSUP, "100-continue"),
    /* Line ends, folded lines and NULs, which libmicrohttpd before 1.0 lets through. */
    CASE("GET / HTTP/1.1\n" HOST END, -EBADMSG, NULL),
    CASE("GET / HTTP/1.1\r\nHost: a\nB: c\r\n" END, -EBADMSG, NULL),
    CASE("GET / HTTP/1.1\r\n" HOST "B: c\r\n d\r\n" END, -EBADMSG, NULL),
    CASE("GET / HTTP/1.1\r\n" HOST "B: c\0d\r\n" END, -EBADMSG, NULL),
    CASE("GET / HTTP/1.1\r\n" HOST "B : c\r\n" END, -EBADMSG, NULL),
    CASE("GET  / HTTP/1.1\r\n" HOST END, -EBADMSG, NULL),
    CASE("GET / HTTP/1.1 \r\n" HOST END, -EBADMSG, NULL),
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(refused); i++) {
        struct outcome o = check(refused[i].request, refused[i].len);
        int by_library = !o.calls && !refused[i].part;
        if (!by_library && (o.r != refused[i].r || (refused[i].part && !strstr(o.why, refused[i].part))))
            fail_msg("case %zu: %d (%s)\n%s", i, o.r, o.why ? o.why : "passed", refused[i].request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
