/* https://redis.io/docs/latest/develop/reference/protocol-spec/: an element is a kind, a line, and of a bulk string so
 * many bytes as the line says. */
#include "client/redis_scan.h"

#include <errno.h>
#include <string.h>

enum state { AT_KIND, IN_LINE, AT_LINE_END, IN_TEXT, AT_TEXT_CR, AT_TEXT_END };

void redis_scan_init(struct redis_scan *s, size_t text_max)
{
    *s = (struct redis_scan){.text_max = text_max, .state = AT_KIND};
}

int redis_scan_is_between(const struct redis_scan *s)
{
    return s->state == AT_KIND && s->depth == 0;
}

static int begin(struct redis_scan *s, char kind)
{
    if (!memchr("+-:$*", kind, 5))
        return -EPROTO;
    s->kind = kind;
    s->line_len = 0;
    s->is_negative = 0;
    s->number = 0;
    s->state = IN_LINE;
    return 0;
}

/* An element is complete, and with the last one of an array that array, too. */
static void end(struct redis_scan *s)
{
    s->state = AT_KIND;
    while (s->depth && --s->left[s->depth - 1] == 0)
        s->depth--;
    s->replies += s->depth == 0;
}

static int take_digit(struct redis_scan *s, char c)
{
    if (s->kind == '+' || s->kind == '-')
        return 0;
    if (c == '-' && s->line_len == 1 && !s->is_negative) {
        s->is_negative = 1;
        return 0;
    }
    if (c < '0' || c > '9' || s->line_len > 20 || s->number > (INT64_MAX - 9) / 10)
        return -EPROTO;
    s->number = s->number * 10 + (c - '0');
    return 0;
}

static int end_list(struct redis_scan *s)
{
    if (s->is_negative || s->number == 0) {
        end(s);
        return 0;
    }
    if (s->number > REDIS_SCAN_LIST_MAX || s->depth == REDIS_SCAN_DEPTH_MAX)
        return -EPROTO;
    s->left[s->depth++] = s->number;
    s->state = AT_KIND;
    return 0;
}

static int end_line(struct redis_scan *s)
{
    if (s->kind == '+' || s->kind == '-') {
        end(s);
        return 0;
    }
    if (s->line_len - (size_t)s->is_negative == 0)
        return -EPROTO;
    if (s->kind != ':' && s->is_negative && s->number != 1) /* -1 alone: there is none */
        return -EPROTO;
    if (s->kind == '*')
        return end_list(s);
    if (s->kind == ':' || s->is_negative) {
        end(s);
        return 0;
    }
    if ((uint64_t)s->number > s->text_max)
        return -EMSGSIZE;
    s->text_left = (size_t)s->number;
    s->state = s->number ? IN_TEXT : AT_TEXT_CR;
    return 0;
}

static int take(struct redis_scan *s, char c)
{
    switch (s->state) {
    case AT_KIND:
        return begin(s, c);
    case IN_LINE:
        if (c == '\r') {
            s->state = AT_LINE_END;
            return 0;
        }
        return c == '\n' || ++s->line_len > REDIS_SCAN_LINE_MAX ? -EPROTO : take_digit(s, c);
    case AT_LINE_END:
        return c == '\n' ? end_line(s) : -EPROTO;
    case AT_TEXT_CR:
        s->state = AT_TEXT_END;
        return c == '\r' ? 0 : -EPROTO;
    default:
        if (c != '\n')
            return -EPROTO;
        end(s);
        return 0;
    }
}

int redis_scan_bytes(struct redis_scan *s, const char *bytes, size_t n)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0;) {
        if (s->state != IN_TEXT) {
            r = take(s, bytes[i++]);
            continue;
        }
        size_t here = s->text_left < n - i ? s->text_left : n - i;
        s->text_left -= here;
        i += here;
        if (s->text_left == 0)
            s->state = AT_TEXT_CR;
    }
    return r;
}
