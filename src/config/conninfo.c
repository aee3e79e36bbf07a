#include "config/conninfo.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define MASK     "***"
#define ACCEPTED "accepted: postgresql://USER:PASSWORD@HOST:PORT/DBNAME or host=HOST dbname=DBNAME user=USER ..."

static const char *const harmless[] = {
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "sslmode",
    "sslcert",
    "sslrootcert",
    "channel_binding",
    "application_name",
    "client_encoding",
    "options",
    "gssencmode",
    "connect_timeout",
    "target_session_attrs",
};

/* What SQLAlchemy, Django, Prisma, Rails, Elixir, Node and JDBC call PostgreSQL and its kin. */
static bool is_scheme(const char *name, size_t len)
{
    static const char *const names[] = {"postgresql", "postgres",    "postgis",     "pgsql",     "psql",     "pg",
                                        "timescale",  "timescaledb", "cockroachdb", "cockroach", "redshift", "ecto"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == len && strncasecmp(names[i], name, len) == 0)
            return true;
    return false;
}

const char *conninfo_after_scheme(const char *text)
{
    static const char jdbc[] = "jdbc:";
    if (strncasecmp(text, jdbc, strlen(jdbc)) == 0)
        text += strlen(jdbc);
    size_t len = strcspn(text, ":+ ");
    if (!is_scheme(text, len))
        return NULL;
    text += len;
    if (*text == '+') /* a driver: postgresql+asyncpg:// */
        text += 1 + strspn(text + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return strncmp(text, "://", 3) == 0 ? text + 3 : NULL;
}

static bool is_harmless(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        if (strlen(harmless[i]) == len && memcmp(harmless[i], name, len) == 0)
            return true;
    return false;
}

/* Appends "name=value" when the name is harmless, "name=***" for names that speak of a password, else only "***": the
 * name may itself be the tail of a password. */
static int add_pair(struct buf *out, const char *pair, size_t name_len, size_t len)
{
    static const char *const secrets[] = {"password", "sslpassword"};

    if (is_harmless(pair, name_len))
        return buf_add(out, pair, len);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (strlen(secrets[i]) == name_len && memcmp(secrets[i], pair, name_len) == 0)
            return buf_addf(out, "%s=" MASK, secrets[i]);
    return buf_addstr(out, MASK);
}

/* "h1:5432,[::1]:5433": what follows a ':' outside brackets must be digits. */
static bool ports_are_numbers(const char *hosts, size_t len)
{
    bool in_brackets = false, in_port = false;
    for (size_t i = 0; i < len; i++) {
        char c = hosts[i];
        if (c == ',')
            in_port = false;
        else if (in_port && !isdigit((unsigned char)c))
            return false;
        else if (c == '[' || c == ']')
            in_brackets = c == '[';
        else if (c == ':' && !in_brackets)
            in_port = true;
    }
    return true;
}

/* Where the hosts begin: behind the last '@' before the path. */
static const char *hosts_of(const char *rest)
{
    const char *at = memrchr(rest, '@', strcspn(rest, "/"));
    return at ? at + 1 : rest;
}

bool conninfo_next_pair(const char **pos, const char **ret_name, size_t *ret_name_len)
{
    const char *p = *pos + strspn(*pos, " \t\r\n");
    *pos = p;
    size_t name_len = 0;
    while (islower((unsigned char)p[name_len]) || p[name_len] == '_')
        name_len++;
    const char *name = p;
    p += name_len;
    p += strspn(p, " \t\r\n");
    if (!name_len || *p != '=')
        return false;
    p++;
    p += strspn(p, " \t\r\n");

    bool quoted = *p == '\'';
    p += quoted;
    while (*p && (quoted ? *p != '\'' : !isspace((unsigned char)*p)))
        p += p[0] == '\\' && p[1] ? 2 : 1;
    if (quoted && *p++ != '\'')
        return false;
    *pos = p;
    *ret_name = name;
    *ret_name_len = name_len;
    return true;
}

int conninfo_check(const char *text, struct error *e)
{
    const char *rest = conninfo_after_scheme(text);
    if (rest) {
        const char *hosts = hosts_of(rest);
        if (ports_are_numbers(hosts, strcspn(hosts, "/?")))
            return 0;
        return error_set(e, -EINVAL,
                         "has a port that is not a number (in a password, write : / ? # [ ] @ %% as %%XX); " ACCEPTED);
    }
    const char *name;
    size_t name_len;
    const char *pos = text;
    while (conninfo_next_pair(&pos, &name, &name_len))
        ;
    if (!*pos && strchr(text, '='))
        return 0;
    return error_set(e, -EINVAL, "is neither a PostgreSQL URL nor keyword=value pairs; " ACCEPTED);
}

static int mask_pairs(const char *text, struct buf *out)
{
    const char *pos = text, *name;
    size_t name_len;
    int r = 0;
    for (const char *blank = ""; r == 0 && conninfo_next_pair(&pos, &name, &name_len); blank = " ") {
        r = buf_addstr(out, blank);
        if (r == 0)
            r = add_pair(out, name, name_len, (size_t)(pos - name));
    }
    /* The rest of a malformed text. */
    if (r == 0 && *pos)
        r = buf_addstr(out, MASK);
    return r;
}

static int mask_query(const char *query, struct buf *out)
{
    int r = 0;
    for (const char *sign = "?"; r == 0 && *query; sign = "&") {
        query++;
        size_t len = strcspn(query, "&");
        r = buf_addstr(out, sign);
        if (r == 0)
            r = add_pair(out, query, strcspn(query, "=&"), len);
        query += len;
    }
    return r;
}

int conninfo_mask(const char *text, struct buf *out)
{
    const char *rest = conninfo_after_scheme(text);
    if (!rest)
        return mask_pairs(text, out);

    /* The last '@' of all, not the one libpq takes: an unescaped '@' in a password must not end the hidden part. Behind
     * a '?' it can belong to the password or to the query: then all of both is hidden. */
    const char *at = strrchr(rest, '@');
    const char *colon = rest + strcspn(rest, ":?");
    int r = 0;
    if (at && *colon == ':' && colon < at) {
        r = buf_add(out, text, (size_t)(colon + 1 - text));
        if (r == 0)
            r = buf_addstr(out, MASK);
        text = at < rest + strcspn(rest, "?") ? at : "";
    }
    size_t before_query = strcspn(text, "?");
    if (r == 0)
        r = buf_add(out, text, before_query);
    if (r == 0)
        r = mask_query(text + before_query, out);
    return r;
}
