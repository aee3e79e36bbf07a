#include "config/dotenv.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

/* One line being read, without its end. */
struct dotenv_line {
    const char *pos, *end;
    int number;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct dotenv_line *l)
{
    while (l->pos < l->end && is_blank(*l->pos))
        l->pos++;
}

static int refuse(const struct dotenv_line *l, struct error *e, const char *why)
{
    return error_set(e, -EINVAL, "line %d: %s", l->number, why);
}

static size_t name_length(const struct dotenv_line *l)
{
    const char *p = l->pos;
    while (p < l->end && (isalpha((unsigned char)*p) || *p == '_' || (p > l->pos && isdigit((unsigned char)*p))))
        p++;
    return (size_t)(p - l->pos);
}

/* Reads `export NAME =`, and stops behind the '='. */
static int read_name(struct dotenv_line *l, struct buf *name, struct error *e)
{
    static const char export[] = "export";
    const size_t export_len = sizeof export - 1;

    size_t len = name_length(l);
    if (len == export_len && memcmp(l->pos, export, len) == 0 && l->pos + len < l->end && is_blank(l->pos[len])) {
        struct dotenv_line rest = *l;
        rest.pos += len;
        skip_blanks(&rest);
        /* `export = x` sets a variable of that name. */
        if (rest.pos < rest.end && *rest.pos != '=') {
            *l = rest;
            len = name_length(l);
        }
    }
    if (!len)
        return refuse(l, e, "does not start with a name; expected NAME=VALUE");
    int r = buf_add(name, l->pos, len);
    if (r < 0)
        return r;
    l->pos += len;
    skip_blanks(l);
    if (l->pos == l->end || *l->pos != '=')
        return refuse(l, e, "has no = behind the name; expected NAME=VALUE");
    l->pos++;
    return 0;
}

static int read_escape(struct dotenv_line *l, struct buf *value, struct error *e)
{
    static const char written[] = "n\"\\$", meant[] = "\n\"\\$";
    const char *p = l->pos < l->end ? memchr(written, *l->pos, sizeof written - 1) : NULL;
    if (!p)
        return refuse(l, e, "has an unknown escape in double quotes; known are \\n \\\" \\\\ \\$");
    l->pos++;
    return buf_add(value, &meant[p - written], 1);
}

static int read_quoted(struct dotenv_line *l, struct buf *value, struct error *e)
{
    const char quote = *l->pos++;
    for (;;) {
        const char *start = l->pos;
        while (l->pos < l->end && *l->pos != quote && !(quote == '"' && *l->pos == '\\'))
            l->pos++;
        int r = buf_add(value, start, (size_t)(l->pos - start));
        if (r < 0)
            return r;
        if (l->pos == l->end)
            return refuse(l, e, "has a quote that is not closed");
        if (*l->pos++ == quote)
            break;
        r = read_escape(l, value, e);
        if (r < 0)
            return r;
    }
    const char *closing = l->pos;
    skip_blanks(l);
    if (l->pos < l->end && (*l->pos != '#' || l->pos == closing))
        return refuse(l, e, "goes on behind the closing quote");
    return 0;
}

static int read_bare(struct dotenv_line *l, struct buf *value)
{
    const char *p = l->pos;
    while (p < l->end && !(*p == '#' && is_blank(p[-1])))
        p++;
    while (p > l->pos && is_blank(p[-1]))
        p--;
    return buf_add(value, l->pos, (size_t)(p - l->pos));
}

static int read_value(struct dotenv_line *l, struct buf *value, struct error *e)
{
    skip_blanks(l);
    if (l->pos < l->end && (*l->pos == '\'' || *l->pos == '"'))
        return read_quoted(l, value, e);
    return read_bare(l, value);
}

static int add_pair(struct dotenv *d, const struct buf *name, const struct buf *value, int line)
{
    struct dotenv_pair *pairs = reallocarray(d->pairs, d->len + 1, sizeof *pairs);
    if (!pairs)
        return -ENOMEM;
    d->pairs = pairs;
    struct dotenv_pair pair = {.name = strdup(name->data), .value = strdup(value->data), .line = line};
    if (!pair.name || !pair.value) {
        free(pair.name);
        free(pair.value);
        return -ENOMEM;
    }
    pairs[d->len++] = pair;
    return 0;
}

static int read_line(struct dotenv *d, struct dotenv_line *l, struct error *e)
{
    skip_blanks(l);
    if (l->pos == l->end || *l->pos == '#')
        return 0;

    struct buf name, value;
    buf_init(&name, DOTENV_MAX_BYTES);
    buf_init(&value, DOTENV_MAX_BYTES);
    int r = read_name(l, &name, e);
    if (r == 0)
        r = read_value(l, &value, e);
    if (r == 0)
        r = add_pair(d, &name, &value, l->number);
    buf_release(&name);
    buf_release(&value);
    return r;
}

int dotenv_parse(const char *text, size_t len, struct dotenv *ret, struct error *e)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    struct dotenv d = {0};
    const char *end = text + len;
    int r = 0;

    if (len > DOTENV_MAX_BYTES)
        return error_set(e, -EFBIG, "is larger than %d KiB", DOTENV_MAX_BYTES / 1024);
    if (memchr(text, '\0', len))
        return error_set(e, -EINVAL, "holds a NUL byte; this is not a text file");
    if (len >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        text += 3;

    for (int number = 1; r == 0 && text < end; number++) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        if (!line_end)
            line_end = end;
        struct dotenv_line l = {.pos = text, .end = line_end, .number = number};
        text = line_end + (line_end < end);
        if (l.end > l.pos && l.end[-1] == '\r')
            l.end--;
        r = read_line(&d, &l, e);
    }
    if (r == -ENOMEM)
        error_set(e, r, "is too much for the memory left");
    if (r < 0)
        dotenv_release(&d);
    else
        *ret = d;
    return r;
}

/* Reads at most one byte more than a file may have, so that dotenv_parse sees when it is too large. */
static int read_all(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = 0;
    while (r == 0 && out->len < out->max) {
        char *at;
        size_t room = out->max - out->len < 4096 ? out->max - out->len : 4096;
        r = buf_reserve(out, room, &at);
        if (r < 0)
            break;
        ssize_t n = read(fd, at, room);
        if (n == 0)
            break;
        if (n > 0)
            out->len += (size_t)n;
        else if (errno != EINTR)
            r = -errno;
    }
    close(fd);
    return r;
}

int dotenv_read(const char *path, struct dotenv *ret, struct error *e)
{
    struct buf text;
    struct error why;
    buf_init(&text, DOTENV_MAX_BYTES + 1);
    int r = read_all(path, &text);
    if (r < 0) {
        error_set(e, r, "%.300s: cannot be read: %s", path, strerror(-r));
    } else {
        r = dotenv_parse(text.len ? text.data : "", text.len, ret, &why);
        if (r < 0)
            error_set(e, r, "%.300s: %s", path, why.text);
    }
    buf_release(&text);
    return r;
}

void dotenv_release(struct dotenv *d)
{
    for (size_t i = 0; i < d->len; i++) {
        free(d->pairs[i].name);
        free(d->pairs[i].value);
    }
    free(d->pairs);
    *d = (struct dotenv){0};
}

const struct dotenv_pair *dotenv_get(const struct dotenv *d, const char *name)
{
    for (size_t i = d->len; i-- > 0;)
        if (strcmp(d->pairs[i].name, name) == 0)
            return &d->pairs[i];
    return NULL;
}

int dotenv_print_value(const char *value, struct buf *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+,=-*";
    if (!value[strspn(value, plain)])
        return buf_addstr(out, value);

    int r = buf_addstr(out, "\"");
    for (; r == 0 && *value; value++) {
        if (*value == '\n')
            r = buf_addstr(out, "\\n");
        else
            r = buf_addf(out, "%s%c", strchr("\"\\$", *value) ? "\\" : "", *value);
    }
    return r < 0 ? r : buf_addstr(out, "\"");
}
