/* URLs as other drivers write them, for libpq: SQLAlchemy, Django (dj-database-url), Prisma, Rails, Node, JDBC. */
#include "config/conninfo.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define NAME_SIZE 64

struct adapting {
    struct buf *out, *warning;
    conninfo_known_fn *known;
    bool names_are_secret; /* behind an '@', a parameter may be the tail of a password */
    bool has_parameter;
};

/* One more part of the warning, "dropped pool, schema; ...". */
static int warn(struct adapting *a, const char *what, const char *name, size_t len)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    bool shown = !a->names_are_secret && len && len < NAME_SIZE && strspn(name, plain) >= len;
    return buf_addf(a->warning, "%s%s%.*s", a->warning->len ? ", " : "", what, shown ? (int)len : 3,
                    shown ? name : "***");
}

/* Copies a part of a URL. '%' that begins no %XX stands for itself, and so does each byte of `literal`. */
static int copy_part(struct adapting *a, const char *text, size_t len, const char *literal)
{
    int r = 0;
    for (size_t i = 0; i < len && r == 0; i++) {
        unsigned char c = (unsigned char)text[i];
        bool is_escape =
            c == '%' && i + 2 < len && isxdigit((unsigned char)text[i + 1]) && isxdigit((unsigned char)text[i + 2]);
        if ((c == '%' && !is_escape) || (c != '%' && strchr(literal, c)))
            r = buf_addf(a->out, "%%%02X", c);
        else
            r = buf_add(a->out, text + i, 1);
    }
    return r;
}

static bool is_word(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* The mode that libpq has of this name; NULL: none. */
static const char *sslmode(const char *text, size_t len)
{
    static const char *const modes[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (is_word(text, len, modes[i]))
            return modes[i];
    return NULL;
}

/* A mode that libpq has not (Node's no-verify) must not end encryption: it is `require`. Of ssl, which other drivers
 * have, that is what true means. */
static int add_sslmode(struct adapting *a, bool is_ssl, const char *value, size_t len)
{
    bool is_off = is_ssl && (is_word(value, len, "false") || is_word(value, len, "0") || is_word(value, len, "off"));
    const char *mode = is_off ? "prefer" : sslmode(value, len);
    int r = buf_addf(a->out, "sslmode=%s", mode ? mode : "require");
    return r < 0 || mode || is_ssl ? r : warn(a, "taken as sslmode=require: sslmode=", value, len);
}

static bool is_known(const struct adapting *a, const char *name, size_t len)
{
    char copy[NAME_SIZE];
    if (!len || len >= sizeof copy)
        return false;
    memcpy(copy, name, len);
    copy[len] = '\0';
    return a->known(copy);
}

/* name=value of a query. */
static int add_parameter(struct adapting *a, const char *text, size_t len)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : len;
    const char *value = equals ? equals + 1 : text + len;
    size_t value_len = (size_t)(text + len - value);
    bool is_tls = equals && (is_word(text, name_len, "sslmode") || is_word(text, name_len, "ssl"));

    if (!len)
        return 0;
    if (!is_tls && (!equals || !is_known(a, text, name_len)))
        return warn(a, "dropped ", text, name_len);
    int r = buf_addstr(a->out, a->has_parameter ? "&" : "?");
    a->has_parameter = true;
    if (r == 0 && is_tls)
        return add_sslmode(a, is_word(text, name_len, "ssl"), value, value_len);
    if (r == 0)
        r = buf_add(a->out, text, name_len);
    if (r == 0)
        r = buf_addstr(a->out, "=");
    return r < 0 ? r : copy_part(a, value, value_len, "=");
}

static int adapt_url(struct adapting *a, const char *rest)
{
    size_t authority = strcspn(rest, "/"), before_query = strcspn(rest, "?");
    const char *at = memrchr(rest, '@', authority);
    int r = buf_addstr(a->out, "postgresql://");
    if (r == 0 && at) {
        r = copy_part(a, rest, (size_t)(at - rest), "@?");
        rest = r == 0 ? at : rest;
        before_query = strcspn(rest, "?");
    }
    if (r == 0)
        r = copy_part(a, rest, before_query, "");
    const char *query = rest + before_query;
    a->names_are_secret = strchr(query, '@') != NULL;
    while (r == 0 && *query) {
        query++;
        size_t len = strcspn(query, "&");
        r = add_parameter(a, query, len);
        query += len;
    }
    return r;
}

/* keyword = value */
static int adapt_pairs(struct adapting *a, const char *text)
{
    const char *pos = text, *name;
    size_t name_len;
    int r = 0;
    while (r == 0 && conninfo_next_pair(&pos, &name, &name_len)) {
        size_t len = (size_t)(pos - name);
        const char *value = (const char *)memchr(name, '=', len) + 1;
        value += strspn(value, " \t\r\n'");
        size_t value_len = strcspn(value, " \t\r\n'");
        bool is_mode = is_word(name, name_len, "sslmode");
        if (!is_mode && !is_known(a, name, name_len)) {
            r = warn(a, "dropped ", name, name_len);
            continue;
        }
        r = buf_addstr(a->out, a->has_parameter ? " " : "");
        a->has_parameter = true;
        if (r == 0)
            r = is_mode ? add_sslmode(a, false, value, value_len) : buf_add(a->out, name, len);
    }
    return r;
}

int conninfo_adapt(const char *text, conninfo_known_fn *known, struct buf *out, struct buf *warning)
{
    struct adapting a = {.out = out, .warning = warning, .known = known};
    const char *rest = conninfo_after_scheme(text);
    return rest ? adapt_url(&a, rest) : adapt_pairs(&a, text);
}
