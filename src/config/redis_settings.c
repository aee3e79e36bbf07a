#include "config/redis_settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_from_environment(const struct sources *from, int id)
{
    return sources_get(from, id).origin.source == CONFIG_FROM_ENVIRONMENT;
}

/* What the platform or another program may mean by a name that it shares with us: a warning, and Redis is not used. */
static int pass_over(struct config *c, const struct sources *from, int id, const struct error *why, struct error *e)
{
    struct error text;
    char *warning;
    (void)sources_refuse(from, id, why, &text);
    c->redis.hosts_len = 0;
    if (asprintf(&warning, "%s; images are not cached in Redis", text.text) < 0 || sources_warn(c, warning) < 0)
        return error_set(e, -ENOMEM, "%s", strerror(ENOMEM));
    return 0;
}

static int refuse(struct config *c, const struct sources *from, int id, const struct error *why, struct error *e)
{
    return is_from_environment(from, id) ? pass_over(c, from, id, why, e) : sources_refuse(from, id, why, e);
}

/* An IPv6 address has more than one colon. */
static bool has_port(const char *host)
{
    const char *colon = strchr(host, ':');
    return colon && !strchr(colon + 1, ':');
}

static int use_host(struct config *c, const struct sources *from, struct error *e)
{
    struct redis_url_host *host = &c->redis.hosts[0];
    struct error why;
    size_t n = strlen(c->redis_host);
    if (n >= sizeof host->name || strcspn(c->redis_host, " /@,\\\"'") != n || has_port(c->redis_host)) {
        error_set(&why, -EINVAL, "is no host; accepted: a name or an address, without port");
        return refuse(c, from, CONFIG_ID_redis_host, &why, e);
    }
    memcpy(host->name, c->redis_host, n + 1);
    host->port = c->redis_port;
    c->redis.database = -1;
    c->redis.hosts_len = 1;
    return 0;
}

static int complete(struct config *c, const struct sources *from, struct error *e)
{
    struct redis_url *url = &c->redis;
    struct error why;
    if (url->database < 0)
        url->database = c->redis_database;
    if (!*url->password && c->redis_password) {
        if (strlen(c->redis_password) >= sizeof url->password) {
            error_set(&why, -EINVAL, "is too long; accepted: up to %zu bytes", sizeof url->password - 1);
            return sources_refuse(from, CONFIG_ID_redis_password, &why, e);
        }
        (void)snprintf(url->password, sizeof url->password, "%s", c->redis_password);
    }
    return 0;
}

/* Those of other clients that were in the URL. */
static int warn_of_parameters(struct config *c, struct error *e)
{
    char *warning;
    int n = 0;
    if (*c->redis.dropped)
        n = asprintf(&warning, "REDIS_URL: parameters without a meaning for Perdura are ignored: %s", c->redis.dropped);
    if (n > 0)
        n = sources_warn(c, warning);
    if (n == 0 && c->redis.insecure) {
        n = asprintf(&warning,
                     "REDIS_URL: ssl_cert_reqs=none: the certificate of Redis is not verified; set REDIS_TLS_CA "
                     "or REDIS_TLS_FINGERPRINT instead");
        n = n < 0 ? n : sources_warn(c, warning);
    }
    return n < 0 ? error_set(e, -ENOMEM, "%s", strerror(ENOMEM)) : 0;
}

int redis_settings_load(struct config *c, const struct sources *from, struct error *e)
{
    struct error why;
    if (c->cache_driver == CONFIG_CACHE_MEMORY)
        return 0;
    if (!c->redis_url && !c->redis_host) {
        if (c->cache_driver == CONFIG_CACHE_AUTO)
            return 0;
        error_set(&why, -EINVAL, "needs REDIS_URL or REDIS_HOST; accepted without: auto or memory");
        return refuse(c, from, CONFIG_ID_cache_driver, &why, e);
    }
    int r = c->redis_url ? redis_url_parse(c->redis_url, &c->redis, e) : use_host(c, from, e);
    if (r == 0 && c->redis_url)
        r = warn_of_parameters(c, e);
    return r < 0 || !c->redis.hosts_len ? r : complete(c, from, e);
}
