/* libmicrohttpd before 1.0 takes bare line feeds for line ends, joins folded lines and stops at NULs, and nothing of
 * that can be seen in what it hands out. But it parses in place, and the head stays in memory as one piece: ':' and
 * each of CR and LF became NUL. So the head is walked once more, byte by byte: whatever is not exactly
 *
 *     METHOD NUL uri NUL version NUL NUL [ name NUL blanks value NUL NUL ]... NUL NUL
 *
 * was not sent as RFC 9112 has it. Newer releases are told to be strict instead (MHD_OPTION_CLIENT_DISCIPLINE_LVL). */
#include "http/request_check.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    int headers, hosts, lengths, codings, conditions;
    const char *length, *coding;
    const char *why;
    int expects; /* what nobody here can do */
};

/* RFC 9110, section 5.6.2. */
static const char tokens[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
    ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
    ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1,
};

/* Section 7.2, by RFC 3986, section 3.2: what names, addresses and a port are made of. */
static const char hosts[256] = {
    ['!'] = 1, ['$'] = 1, ['%'] = 1, ['&' ... '.'] = 1, ['0' ... '9'] = 1, [':'] = 1,         [';'] = 1,
    ['='] = 1, ['['] = 1, [']'] = 1, ['_'] = 1,         ['~'] = 1,         ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1,
};

/* How much of the text's begin is made of these. */
static size_t span(const char characters[256], const char *text)
{
    size_t n = 0;
    while (characters[(unsigned char)text[n]])
        n++;
    return n;
}

static int is_made_of(const char characters[256], const char *text)
{
    return !text[span(characters, text)];
}

static int is_token(const char *text)
{
    return *text && is_made_of(tokens, text);
}

/* No control characters and no blanks; what else it may not hold is for the router to say. */
static int is_target(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at > ' ' && *at != 0x7f)
        at++;
    return text[0] && !*at;
}

/* Sets where the path begins. What has another scheme is left to the router, which knows no such path. NULL, or what is
 * wrong: a host is needed (RFC 9110, section 4.2.1), and no name of a user (section 4.2.4) or fragment belongs there.
 */
static const char *split_target(const char *target, struct request_facts *ret)
{
    size_t scheme = strncasecmp(target, "http://", 7) == 0 ? 7 : strncasecmp(target, "https://", 8) == 0 ? 8 : 0;
    size_t host = scheme ? span(hosts, target + scheme) : 0;
    if (scheme && (!host || target[scheme] == ':' || !strchr("/?", target[scheme + host])))
        return "the target has no host with or without a port";
    ret->before_path = scheme + host;
    ret->host_len = host;
    return NULL;
}

/* No control characters but the tab. */
static int is_field_value(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if ((*at < ' ' && *at != '\t') || *at == 0x7f)
            return 0;
    return 1;
}

static enum MHD_Result look(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct seen *s = arg;
    (void)kind;
    value = value ? value : "";
    s->headers++;
    if (!is_token(name))
        s->why = "a header's name is not a token";
    else if (!is_field_value(value))
        s->why = "a header's value holds a control character";
    if (strcasecmp(name, "Host") == 0) {
        s->hosts++;
        if (!is_made_of(hosts, value))
            s->why = "Host is no host with or without a port";
    } else if (strcasecmp(name, "Content-Length") == 0) {
        s->lengths++;
        s->length = value;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        s->codings++;
        s->coding = value;
    } else if (strcasecmp(name, "Expect") == 0) {
        s->expects |= *value && strcasecmp(value, "100-continue") != 0;
    } else if (strncasecmp(name, "If-", 3) == 0 || strcasecmp(name, "Range") == 0) {
        s->conditions++;
    }
    return MHD_YES;
}

static const char *ambiguous(const struct seen *s, const char *version)
{
    if (s->why)
        return s->why;
    if (s->hosts > 1 || (!s->hosts && strcmp(version, "HTTP/1.1") == 0))
        return "one Host header is needed";
    if (s->lengths > 1)
        return "Content-Length came more than once";
    if (s->lengths && (!*s->length || s->length[strspn(s->length, "0123456789")] || strlen(s->length) > 18))
        return "Content-Length is not a number";
    if (s->codings && s->lengths)
        return "Transfer-Encoding and Content-Length exclude each other";
    if (s->codings > 1 || (s->codings && strcasecmp(s->coding, "chunked") != 0))
        return "chunked is the only Transfer-Encoding that is understood";
    if (s->codings && strcmp(version, "HTTP/1.1") != 0)
        return "Transfer-Encoding needs HTTP/1.1";
    return NULL;
}

#if MHD_VERSION < 0x00097701
/* Behind a line's text: both NULs of its CRLF. */
static const char *line_end(const char *at, const char *end)
{
    return end - at >= 2 && !at[0] && !at[1] ? at + 2 : NULL;
}

static const char *past_header(const char *at, const char *end)
{
    at += strnlen(at, (size_t)(end - at));
    if (at == end)
        return NULL;
    at++;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return line_end(at + strnlen(at, (size_t)(end - at)), end);
}

static int sent_as_lines(struct MHD_Connection *connection, const struct request_line *line, int headers)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *end = line->method + info->header_size, *version = line->version;
    if (line->uri != line->method + strlen(line->method) + 1 || version != line->uri + strlen(line->sent_uri) + 1 ||
        version >= end)
        return 0;
    const char *at = line_end(version + strnlen(version, (size_t)(end - version)), end);
    for (; at && headers > 0; headers--)
        at = *at ? past_header(at, end) : NULL;
    return at && line_end(at, end) == end;
}
#else
static int sent_as_lines(struct MHD_Connection *connection, const struct request_line *line, int headers)
{
    (void)connection;
    (void)line;
    (void)headers;
    return 1;
}
#endif

int request_check(struct MHD_Connection *connection, const struct request_line *line, struct request_facts *ret,
                  const char **ret_why)
{
    struct seen seen = {0};
    if (strcmp(line->version, "HTTP/1.1") != 0 && strcmp(line->version, "HTTP/1.0") != 0) {
        *ret_why = "HTTP/1.1 and HTTP/1.0 are understood";
        return -EPROTONOSUPPORT;
    }
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, look, &seen);
    *ret_why = ambiguous(&seen, line->version);
    if (!*ret_why && (!is_token(line->method) || !line->sent_uri || !is_target(line->sent_uri)))
        *ret_why = "the request line is no method, target and version";
    if (!*ret_why)
        *ret_why = split_target(line->sent_uri, ret);
    if (!*ret_why && !sent_as_lines(connection, line, seen.headers))
        *ret_why = "the request's lines are not as RFC 9112 has them";
    if (!*ret_why && seen.expects) {
        *ret_why = "unsupported Expect; only 100-continue is supported";
        return -ENOTSUP;
    }
    ret->body = seen.codings ? -1 : seen.lengths ? strtoll(seen.length, NULL, 10) : 0;
    ret->plain = !seen.conditions;
    return *ret_why ? -EBADMSG : 0;
}
