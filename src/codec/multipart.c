#include "codec/multipart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

/* RFC 9110 section 5.6.2. */
static int is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

static const char *read_token(const char *at, char *ret, size_t size)
{
    size_t n = 0;
    while (is_token_char(at[n]))
        n++;
    if (!n || n >= size)
        return NULL;
    memcpy(ret, at, n);
    ret[n] = '\0';
    return at + n;
}

/* RFC 9110 section 5.6.4, less one thing: old browsers send "C:\dir\me.png" as it is, so that '\' quotes only '"' and
 * itself. */
static const char *read_quoted(const char *at, char *ret, size_t size)
{
    size_t n = 0;
    for (at++; *at && *at != '"'; at++) {
        if (*at == '\\' && (at[1] == '"' || at[1] == '\\'))
            at++;
        if (n + 1 >= size)
            return NULL;
        ret[n++] = *at;
    }
    ret[n] = '\0';
    return *at ? at + 1 : NULL;
}

struct parameter {
    char name[MULTIPART_NAME_MAX + 1], value[MULTIPART_NAME_MAX + 1];
};

/* The next `; name=value`. Moves *at behind it. 0 at the end of the field, 1, or -1: malformed. */
static int next_parameter(const char **at, struct parameter *ret)
{
    const char *p = skip_blanks(*at);
    while (*p == ';')
        p = skip_blanks(p + 1);
    if (!*p)
        return 0;
    if (p == skip_blanks(*at)) /* no ';' before it */
        return -1;
    p = read_token(p, ret->name, sizeof ret->name);
    if (!p || *p++ != '=')
        return -1;
    p = *p == '"' ? read_quoted(p, ret->value, sizeof ret->value) : read_token(p, ret->value, sizeof ret->value);
    if (!p)
        return -1;
    *at = p;
    return 1;
}

static int is_boundary(const char *text)
{
    size_t n = strlen(text);
    return n && n <= MULTIPART_BOUNDARY_MAX && text[n - 1] != ' ' &&
           strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ") == n;
}

int multipart_boundary(char ret[MULTIPART_BOUNDARY_MAX + 1], const char *content_type, struct error *e)
{
    static const char type[] = "multipart/form-data";
    const char *at = content_type ? skip_blanks(content_type) : "";
    struct parameter p;
    int r, found = 0;
    if (strncasecmp(at, type, sizeof type - 1) != 0 || !strchr("; \t", at[sizeof type - 1]))
        return error_set(e, -EINVAL, "the body has to be of Content-Type multipart/form-data");
    at += sizeof type - 1;
    while ((r = next_parameter(&at, &p)) == 1) {
        if (strcasecmp(p.name, "boundary") != 0)
            continue;
        if (found++ || !is_boundary(p.value))
            return error_set(e, -EINVAL, "the boundary of Content-Type is malformed");
        memcpy(ret, p.value, strlen(p.value) + 1);
    }
    return r == 0 && found ? 0 : error_set(e, -EINVAL, "Content-Type names no boundary");
}

void multipart_init(struct multipart *m, const char *boundary, const struct multipart_ops *ops, void *arg)
{
    *m = (struct multipart){.ops = ops, .arg = arg, .state = MULTIPART_PREAMBLE, .matched = 2};
    m->delimiter_len = (size_t)snprintf(m->delimiter, sizeof m->delimiter, "\r\n--%s", boundary);
}

/* The header of a part */

static int malformed(struct error *e, const char *what)
{
    return error_set(e, -EBADMSG, "%s", what);
}

static int take_disposition(struct multipart_part *part, const char *value, struct error *e)
{
    struct parameter p;
    char kind[MULTIPART_NAME_MAX + 1];
    const char *at = read_token(value, kind, sizeof kind);
    int r, names = 0, filenames = 0;
    if (!at || strcasecmp(kind, "form-data") != 0)
        return malformed(e, "has a part whose Content-Disposition is not form-data");
    while ((r = next_parameter(&at, &p)) == 1) {
        if (!utf8_valid(p.value, strlen(p.value)))
            return malformed(e, "has a name that is no UTF-8");
        if (strcasecmp(p.name, "name") == 0 && !names++)
            memcpy(part->name, p.value, sizeof part->name);
        else if (strcasecmp(p.name, "filename") == 0 && !filenames++)
            memcpy(part->filename, p.value, sizeof part->filename);
        else if (strcasecmp(p.name, "name") == 0 || strcasecmp(p.name, "filename") == 0)
            return malformed(e, "has a part with two names");
    }
    return r == 0 && names ? 0 : malformed(e, "has a part without a proper name");
}

static int take_field(struct multipart_part *part, const char *name, const char *value, struct error *e)
{
    if (strcasecmp(name, "Content-Disposition") == 0) {
        if (part->name[0])
            return malformed(e, "has a part with two names");
        return take_disposition(part, value, e);
    }
    if (strcasecmp(name, "Content-Transfer-Encoding") == 0 && strcasecmp(value, "binary") != 0 &&
        strcasecmp(value, "8bit") != 0 && strcasecmp(value, "7bit") != 0)
        return error_set(e, -ENOTSUP, "has a part in the encoding %.40s; send it as it is", value);
    if (strcasecmp(name, "Content-Type") == 0)
        (void)snprintf(part->type, sizeof part->type, "%s", value);
    return 0;
}

/* One line of the head, without its end; it is changed. */
static int take_line(struct multipart_part *part, char *line, struct error *e)
{
    char *colon = strchr(line, ':');
    size_t n = 0;
    while (is_token_char(line[n]))
        n++;
    if (!n || colon != line + n)
        return malformed(e, "has a part whose header is malformed");
    *colon = '\0';
    char *value = (char *)skip_blanks(colon + 1), *end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    return take_field(part, line, value, e);
}

static int take_head(struct multipart *m, struct error *e)
{
    if (memchr(m->head, '\0', m->head_len))
        return malformed(e, "has a part whose header is malformed");
    m->head[m->head_len - 2] = '\0'; /* the empty line */
    m->part = (struct multipart_part){0};
    for (char *line = m->head, *next; *line; line = next) {
        next = strstr(line, "\r\n");
        if (!next)
            return malformed(e, "has a part whose header is malformed");
        *next = '\0';
        next += 2;
        if (strpbrk(line, "\r\n"))
            return malformed(e, "has a part whose header is malformed");
        int r = take_line(&m->part, line, e);
        if (r < 0)
            return r;
    }
    if (!m->part.name[0])
        return malformed(e, "has a part without a proper name");
    if (++m->parts > MULTIPART_PARTS_MAX)
        return error_set(e, -E2BIG, "has more than %d parts", MULTIPART_PARTS_MAX);
    return 0;
}

/* States. Each takes what it wants of the bytes, sets *ret_taken, and may go over to another one. */

static int tell_data(const struct multipart *m, const char *bytes, size_t n)
{
    return n && m->state == MULTIPART_DATA ? m->ops->data(m->arg, bytes, n) : 0;
}

/* Data up to the next delimiter. Of the delimiter only the first byte is a CR, so that where it breaks off nothing of
 * what was taken for it can be the beginning of another one. */
static int feed_data(struct multipart *m, const char *bytes, size_t n, size_t *ret_taken)
{
    size_t i = 0;
    int r = 0;
    while (r == 0 && i < n) {
        if (!m->matched) {
            const char *cr = memchr(bytes + i, '\r', n - i);
            size_t plain = cr ? (size_t)(cr - bytes) - i : n - i;
            r = tell_data(m, bytes + i, plain);
            i += plain + (cr != NULL);
            m->matched = cr != NULL;
        } else if (bytes[i] != m->delimiter[m->matched]) {
            r = tell_data(m, m->delimiter, m->matched);
            m->matched = 0;
        } else if (i++, ++m->matched == m->delimiter_len) {
            r = m->state == MULTIPART_DATA ? m->ops->end(m->arg) : 0;
            m->state = MULTIPART_LINE;
            m->matched = m->head_len = 0;
            break;
        }
    }
    *ret_taken = i;
    return r;
}

/* What stands behind a delimiter in its line: "--" when it is the last one, else nothing but blanks. */
static int feed_line(struct multipart *m, const char *bytes, size_t n, size_t *ret_taken, struct error *e)
{
    size_t i = 0;
    while (i < n && m->state == MULTIPART_LINE) {
        char c = m->head[m->head_len++] = bytes[i++];
        char before = m->head_len > 1 ? m->head[m->head_len - 2] : '\0';
        if (c == '-' && m->head_len == 2 && before == '-') {
            m->state = MULTIPART_EPILOGUE;
        } else if (c == '\n' && before == '\r') {
            m->state = MULTIPART_HEAD;
            m->head_len = 0;
        } else if (before == '\r' || before == '-' || !strchr(m->head_len == 1 ? "- \t\r" : " \t\r", c) || !c ||
                   m->head_len == 100) {
            return malformed(e, "has more behind a boundary");
        }
    }
    *ret_taken = i;
    return 0;
}

static int feed_head(struct multipart *m, const char *bytes, size_t n, size_t *ret_taken, struct error *e)
{
    size_t i = 0;
    while (i < n && m->state == MULTIPART_HEAD) {
        if (m->head_len == MULTIPART_HEAD_MAX)
            return error_set(e, -E2BIG, "has a part whose header is larger than %d bytes", MULTIPART_HEAD_MAX);
        m->head[m->head_len++] = bytes[i++];
        if ((m->head_len == 2 && memcmp(m->head, "\r\n", 2) == 0) ||
            (m->head_len > 3 && memcmp(m->head + m->head_len - 4, "\r\n\r\n", 4) == 0))
            m->state = MULTIPART_DATA;
    }
    *ret_taken = i;
    int r = m->state == MULTIPART_DATA ? take_head(m, e) : 0;
    return r == 0 && m->state == MULTIPART_DATA ? m->ops->begin(m->arg, &m->part) : r;
}

int multipart_feed(struct multipart *m, const char *bytes, size_t n, struct error *e)
{
    int r = 0;
    while (r == 0 && n) {
        size_t taken = n;
        if (m->state == MULTIPART_PREAMBLE || m->state == MULTIPART_DATA)
            r = feed_data(m, bytes, n, &taken);
        else if (m->state == MULTIPART_LINE)
            r = feed_line(m, bytes, n, &taken, e);
        else if (m->state == MULTIPART_HEAD)
            r = feed_head(m, bytes, n, &taken, e);
        bytes += taken;
        n -= taken;
    }
    return r;
}

int multipart_end(const struct multipart *m, struct error *e)
{
    return m->state == MULTIPART_EPILOGUE ? 0 : malformed(e, "ends in the middle");
}
