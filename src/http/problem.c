#include "http/problem.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/printable.h"

#define DETAIL_SIZE 1000

/* IANA's registry of HTTP status codes: those that we send. */
static const struct {
    int status;
    const char *title;
} titles[] = {
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *problem_title(int status)
{
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (titles[i].status == status)
            return titles[i].title;
    return status >= 500 ? "Server Error" : status >= 400 ? "Client Error" : "No Error";
}

struct target {
    struct buf *out;
    int code; /* why it stopped */
};

static int add_chunk(const char *bytes, size_t n, void *arg)
{
    struct target *to = arg;
    to->code = buf_add(to->out, bytes, n);
    return to->code < 0 ? -1 : 0;
}

int problem_body(struct buf *out, int status, const char *detail)
{
    char shown[DETAIL_SIZE + 1];
    size_t start = out->len;
    struct target to = {out, -ENOMEM};
    /* "s*": left out when it is NULL. */
    json_t *body = json_pack("{s:s, s:s, s:i, s:s*}", "type", "about:blank", "title", problem_title(status), "status",
                             status, "detail", detail ? printable(shown, sizeof shown, detail) : NULL);
    if (!body)
        return -ENOMEM;
    int r = json_dump_callback(body, add_chunk, &to, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(body);
    if (r == 0)
        return 0;
    out->len = start;
    if (out->data)
        out->data[start] = '\0';
    return to.code < 0 ? to.code : -ENOMEM;
}
