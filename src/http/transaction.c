#include "http/transaction.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "client/db_fault.h"
#include "codec/url.h"
#include "http/problem.h"

void http_add_header(struct http_transaction *x, const char *name, const char *value_fmt, ...)
{
    struct http_answer *a = &x->answer;
    char *value = NULL;
    va_list args;
    va_start(args, value_fmt);
    int n = a->headers_len < HTTP_HEADERS_MAX ? vasprintf(&value, value_fmt, args) : -1;
    va_end(args);
    if (n < 0)
        return;
    a->headers[a->headers_len++] = (struct http_header){name, value};
}

void http_answer_empty(struct http_transaction *x, int status)
{
    x->answer.status = status;
}

void http_answer_text(struct http_transaction *x, int status, const char *mime, char *text, size_t len)
{
    x->answer.status = status;
    free(x->answer.text);
    x->answer.text = text;
    x->answer.text_len = len;
    http_add_header(x, "Content-Type", "%s", mime);
}

void http_answer_json(struct http_transaction *x, int status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(body);
    if (!text) {
        http_answer_problem(x, 500, "out of memory");
        return;
    }
    http_answer_text(x, status, "application/json", text, strlen(text));
    http_add_header(x, "Cache-Control", "no-store");
}

void http_answer_problem(struct http_transaction *x, int status, const char *detail, ...)
{
    char text[ERROR_TEXT_MAX];
    struct buf body;
    va_list args;
    va_start(args, detail);
    (void)vsnprintf(text, sizeof text, detail, args);
    va_end(args);
    buf_init(&body, PROBLEM_MAX_BYTES);
    (void)!problem_body(&body, status, text);
    http_answer_text(x, status, PROBLEM_CONTENT_TYPE, body.data, body.len);
    http_add_header(x, "Cache-Control", "no-store");
}

void http_answer_problem_json(struct http_transaction *x, int status, json_t *members, const char *detail)
{
    char shown[ERROR_TEXT_MAX];
    json_t *body = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", problem_title(status), "status",
                             status, "detail", printable(shown, sizeof shown, detail));
    char *text = body && json_object_update(body, members) == 0 ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    json_decref(members);
    if (!text) {
        http_answer_problem(x, status, "%s", detail);
        return;
    }
    http_answer_text(x, status, PROBLEM_CONTENT_TYPE, text, strlen(text));
    http_add_header(x, "Cache-Control", "no-store");
}

static int status_of(int code)
{
    int status = db_fault_http(code);
    if (status)
        return status;
    switch (code) {
    case -ENOENT:
        return 404;
    case -ENAMETOOLONG:
        return 400;
    case -EFBIG:
        return 413;
    case -EMEDIUMTYPE:
        return 415;
    case -EBUSY:
    case -EACCES:
    case -EPERM:
    case -EXDEV:
    case -ELOOP:
    case -EISDIR:
    case -ENOTDIR:
        return 409;
    case -ENOTSUP:
        return 501;
    case -ECANCELED:
    case -ENOSPC:
    case -ENXIO:
    case -EROFS:
    case -EHOSTDOWN:
    case -EREMOTEIO:
        return 503;
    default:
        return 500;
    }
}

#define RESTART_S 60

void http_answer_later(struct http_transaction *x, const char *detail)
{
    http_answer_problem(x, 503, "%s", detail);
}

void http_answer_unset(struct http_transaction *x, const char *detail)
{
    http_answer_problem(x, 503, "%s", detail);
    x->answer.retry_after_s = RESTART_S;
}

void http_answer_error(struct http_transaction *x, const char *what, const struct error *why)
{
    int is_about = what && !why->is_sentence;
    http_answer_problem(x, status_of(why->code), "%s%s%s", is_about ? what : "", is_about ? " " : "", why->text);
}

void http_answer_consequence(struct http_transaction *x, const char *consequence, const struct error *why)
{
    http_answer_problem(x, status_of(why->code), "%s: %s", consequence, why->text);
}

int http_query(struct http_transaction *x, struct url_query *ret)
{
    struct error why;
    if (url_query_parse(ret, x->raw_query, x->raw_query ? strlen(x->raw_query) : 0, &why) == 0)
        return 0;
    http_answer_problem(x, 400, "%s", why.text);
    return -EINVAL;
}

int64_t http_tail_number(const struct http_transaction *x)
{
    char *end;
    long long number = strtoll(x->tail, &end, 10);
    return isdigit((unsigned char)x->tail[0]) && (!*end || *end == '/') ? number : 0;
}
