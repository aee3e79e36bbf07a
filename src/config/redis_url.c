#include "config/redis_url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define SENTINEL_PORT 26379
#define DATABASE_MAX  65535

#define REDIS_URL_TEXT_MAX 8192

static const struct scheme {
    const char *text;
    bool tls, sentinel, socket;
} schemes[] = {
    {"redis://", false, false, false},         {"rediss://", true, false, false},
    {"redis+sentinel://", false, true, false}, {"rediss+sentinel://", true, true, false},
    {"unix://", false, false, true},           {"valkey://", false, false, false},
    {"valkeys://", true, false, false},
};

static int refuse(struct error *e, const char *why)
{
    return error_set(e, -EINVAL, "%s; " REDIS_URL_ACCEPTED, why);
}

static const struct scheme *find_scheme(const char *text)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(text, schemes[i].text, strlen(schemes[i].text)) == 0)
            return &schemes[i];
    return NULL;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Copies n bytes of text and a NUL, %XX decoded. -EINVAL: malformed, %00, or more than fits. */
static int decode(char *dst, size_t size, const char *text, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++, len++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < n ? hex_digit(text[i + 1]) : -1, low = high < 0 ? -1 : hex_digit(text[i + 2]);
            c = (char)(high * 16 + low);
            if (low < 0 || !c)
                return -EINVAL;
            i += 2;
        }
        if (len + 1 >= size)
            return -EINVAL;
        dst[len] = c;
    }
    dst[len] = '\0';
    return 0;
}

/* Decimal digits only. -1: no number of at most `max`. */
static int number(const char *text, size_t n, int max)
{
    int value = 0;
    if (!n || n > 6)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + text[i] - '0';
    }
    return value <= max ? value : -1;
}

static int parse_user(struct redis_url *url, const char *text, size_t n, struct error *e)
{
    const char *colon = memchr(text, ':', n);
    size_t user = colon ? (size_t)(colon - text) : n;
    if (decode(url->user, sizeof url->user, text, user) < 0 ||
        (colon && decode(url->password, sizeof url->password, colon + 1, n - user - 1) < 0))
        return refuse(e, "has a user or password that is too long or malformed (write % as %25, @ as %40, / as %2F)");
    return 0;
}

static int parse_host(struct redis_url *url, const char *text, size_t n, int port, struct error *e)
{
    const char *end = *text == '[' ? memchr(text, ']', n) : NULL;
    const char *name = end ? text + 1 : text;
    const char *colon = memchr(end ? end : text, ':', n - (size_t)((end ? end : text) - text));
    const char *name_end = end ? end : colon ? colon : text + n;
    size_t len = (size_t)(name_end - name);
    struct redis_url_host *host = &url->hosts[url->hosts_len];
    if (!len || len >= sizeof host->name || (*text == '[' && !end) || (end && end + 1 != text + n && end + 1 != colon))
        return refuse(e, "names no host");
    memcpy(host->name, name, len);
    host->name[len] = '\0';
    if (strcspn(host->name, " /\\\"'") != len)
        return refuse(e, "names no host");
    host->port = colon ? number(colon + 1, n - (size_t)(colon + 1 - text), 65535) : port;
    if (host->port <= 0)
        return refuse(e, "has a port that is not a number from 1 to 65535");
    url->hosts_len++;
    return 0;
}

static int parse_hosts(struct redis_url *url, const char *text, size_t n, bool sentinel, struct error *e)
{
    int r = 0;
    for (const char *end = text + n; r == 0 && text <= end;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        size_t len = (size_t)((comma ? comma : end) - text);
        if (url->hosts_len == (sentinel ? REDIS_URL_HOSTS_MAX : 1))
            return refuse(e, sentinel ? "names too many Sentinels" : "names more than one host");
        r = parse_host(url, text, len, sentinel ? SENTINEL_PORT : REDIS_URL_PORT, e);
        text += len + 1;
    }
    return r;
}

/* What is behind the hosts' slash. */
static int parse_path(struct redis_url *url, const char *text, bool sentinel, struct error *e)
{
    if (sentinel) {
        size_t n = strcspn(text, "/");
        if (!n || decode(url->master, sizeof url->master, text, n) < 0)
            return refuse(e, "does not name the master that the Sentinels watch");
        text += n + (text[n] == '/');
    }
    url->database = *text ? number(text, strlen(text), DATABASE_MAX) : -1;
    return *text && url->database < 0 ? refuse(e, "has a database that is not a number from 0 to 65535") : 0;
}

/* /path/of/socket: what is behind the user of a unix:// URL. */
static int parse_socket(struct redis_url *url, const char *text, struct error *e)
{
    const struct sockaddr_un limit;
    struct redis_url_host *host = &url->hosts[0];
    if (*text != '/' || decode(host->name, sizeof limit.sun_path, text, strlen(text)) < 0)
        return refuse(e, "names no socket by its whole path, of at most 107 bytes");
    url->hosts_len = 1;
    url->database = -1;
    return 0;
}

static bool is_parameter(const char *text, size_t n, const char *wanted)
{
    return strlen(wanted) == n && memcmp(text, wanted, n) == 0;
}

/* Adds the name before the '='. What does not fit is left out. */
static void note_dropped(struct redis_url *url, const char *text, size_t n)
{
    size_t len = strlen(url->dropped);
    for (size_t i = 0; i < n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.", text[i]))
            n = i;
    if (n && len + n + 3 <= sizeof url->dropped)
        (void)snprintf(url->dropped + len, sizeof url->dropped - len, "%s%.*s", len ? ", " : "", (int)n, text);
}

/* name=value&... */
static int parse_query(struct redis_url *url, const char *text, struct error *e)
{
    for (; *text; text += *text == '&') {
        size_t n = strcspn(text, "&"), name = strcspn(text, "=&");
        if (is_parameter(text, name, "db")) {
            url->database = name < n ? number(text + name + 1, n - name - 1, DATABASE_MAX) : -1;
            if (url->database < 0)
                return refuse(e, "has a db that is not a number from 0 to 65535");
        } else if (is_parameter(text, n, "ssl_cert_reqs=none") || is_parameter(text, n, "ssl_cert_reqs=CERT_NONE")) {
            url->insecure = url->tls;
        } else if (!is_parameter(text, n, "ssl_cert_reqs=required")) {
            note_dropped(url, text, name);
        }
        text += n;
    }
    return 0;
}

/* The text up to the '?' of its parameters, which is not one of the user's or password's. NULL: too long. */
static const char *cut_query(const char *text, char dst[REDIS_URL_TEXT_MAX], const char **ret_query)
{
    const char *at = strrchr(text, '@'), *query = strchr(at ? at : text, '?');
    size_t n = query ? (size_t)(query - text) : strlen(text);
    if (n >= REDIS_URL_TEXT_MAX)
        return NULL;
    memcpy(dst, text, n);
    dst[n] = '\0';
    *ret_query = query ? query + 1 : "";
    return dst;
}

int redis_url_parse(const char *text, struct redis_url *ret, struct error *e)
{
    const struct scheme *scheme = find_scheme(text);
    if (!scheme)
        return refuse(e, "does not begin with redis:// or one of its kin");
    struct redis_url url = {.tls = scheme->tls};
    char before[REDIS_URL_TEXT_MAX];
    const char *query, *rest = cut_query(text + strlen(scheme->text), before, &query);
    if (!rest)
        return refuse(e, "is too long");
    size_t authority = strcspn(rest, "/");
    const char *at = memrchr(rest, '@', authority);
    const char *hosts = at ? at + 1 : rest, *end = rest + authority;
    int r = at ? parse_user(&url, rest, (size_t)(at - rest), e) : 0;
    if (r == 0 && scheme->socket)
        r = parse_socket(&url, hosts, e);
    else if (r == 0)
        r = parse_hosts(&url, hosts, (size_t)(end - hosts), scheme->sentinel, e);
    if (r == 0 && !scheme->socket)
        r = parse_path(&url, *end ? end + 1 : end, scheme->sentinel, e);
    if (r == 0)
        r = parse_query(&url, query, e);
    if (r == 0)
        *ret = url;
    return r;
}

const char *redis_url_host_text(const struct redis_url_host *host, char dst[REDIS_URL_HOST_SIZE])
{
    if (host->port)
        (void)snprintf(dst, REDIS_URL_HOST_SIZE, "%s:%d", host->name, host->port);
    else
        (void)snprintf(dst, REDIS_URL_HOST_SIZE, "%s", host->name);
    return dst;
}

/* Some clients take a password as a parameter. */
static int mask_query(const char *text, struct buf *out)
{
    static const char name[] = "password=";
    const char *query = strchr(text, '?'), *secret = query ? strstr(query, name) : NULL;
    if (!secret)
        return buf_addstr(out, text);
    int r = buf_add(out, text, (size_t)(secret - text) + strlen(name));
    if (r == 0)
        r = buf_addstr(out, "***");
    return r < 0 ? r : buf_addstr(out, secret + strcspn(secret, "&"));
}

int redis_url_mask(const char *text, struct buf *out)
{
    const struct scheme *scheme = find_scheme(text);
    const char *rest = scheme ? text + strlen(scheme->text) : text;
    /* The last '@' of all: an unescaped one in a password must not end the hidden part. */
    const char *at = strrchr(rest, '@'), *colon = strchr(rest, ':');
    if (!at || !colon || colon > at)
        return mask_query(text, out);
    int r = buf_add(out, text, (size_t)(colon + 1 - text));
    if (r == 0)
        r = buf_addstr(out, "***");
    return r < 0 ? r : mask_query(at, out);
}
