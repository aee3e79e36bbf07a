#include "client/http_fetch_url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/printable.h"
#include "config/config.h"
#include "config/listvalue.h"

struct fetch_policy fetch_policy_sources(const struct config *config)
{
    return (struct fetch_policy){.allowed = config->allowed_sources,
                                 .private_allowed = config->allow_private_sources,
                                 .ca_file = config->https_ca};
}

/* Of a parsed URL; freed by release. `port` is never NULL. */
struct parts {
    char *scheme, *host, *port;
};

static void release(struct parts *p)
{
    curl_free(p->scheme);
    curl_free(p->host);
    curl_free(p->port);
}

static int take(CURLU *url, struct parts *ret)
{
    struct parts p = {NULL, NULL, NULL};
    CURLUcode failed = curl_url_get(url, CURLUPART_SCHEME, &p.scheme, 0);
    if (!failed)
        failed = curl_url_get(url, CURLUPART_HOST, &p.host, 0);
    if (!failed)
        failed = curl_url_get(url, CURLUPART_PORT, &p.port, CURLU_DEFAULT_PORT);
    if (failed) {
        release(&p);
        return failed == CURLUE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL; /* such as file:///name, which has no host */
    }
    *ret = p;
    return 0;
}

static int parse(CURLU **ret, const char *text)
{
    CURLU *url = curl_url();
    if (!url)
        return -ENOMEM;
    CURLUcode failed = curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER | CURLU_PATH_AS_IS);
    if (failed) {
        curl_url_cleanup(url);
        return failed == CURLUE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
    }
    *ret = url;
    return 0;
}

/* `item` is "host" or "host:port", an IPv6 address in brackets. Without a port it stands for its scheme's own. */
static int is_named(const struct parts *p, const char *item, size_t n)
{
    size_t host_len = strlen(p->host);
    int own_port = strcmp(p->port, strcmp(p->scheme, "https") == 0 ? "443" : "80") == 0;
    if (n < host_len || strncasecmp(item, p->host, host_len) != 0)
        return 0;
    if (n == host_len)
        return own_port;
    return item[host_len] == ':' && n - host_len - 1 == strlen(p->port) &&
           memcmp(item + host_len + 1, p->port, n - host_len - 1) == 0;
}

static int check_listed(const struct fetch_policy *policy, const struct parts *p, const char *host, struct error *e)
{
    const char *list = policy->allowed ? policy->allowed : "";
    size_t n;
    if (strcmp(p->scheme, "https") != 0 && !(policy->private_allowed && strcmp(p->scheme, "http") == 0))
        return error_set_sentence(e, -EPERM, "%s: only https URLs are fetched", host);
    for (const char *item; (item = listvalue_next(&list, &n));)
        if (is_named(p, item, n))
            return 0;
    return error_set_sentence(e, -EPERM, "%s:%s is not among PERDURA_ALLOWED_SOURCES: nothing is fetched from there",
                              host, p->port);
}

static int check_origin(const struct fetch_policy *policy, const struct parts *p, const char *host, struct error *e)
{
    CURLU *url;
    struct parts origin;
    int r = parse(&url, policy->origin);
    if (r == 0) {
        r = take(url, &origin);
        curl_url_cleanup(url);
    }
    if (r < 0)
        return error_set_sentence(e, r, "%s", r == -ENOMEM ? "out of memory" : "the endpoint is no URL");
    int same = strcmp(p->scheme, origin.scheme) == 0 && strcasecmp(p->host, origin.host) == 0 &&
               strcmp(p->port, origin.port) == 0;
    release(&origin);
    return same ? 0 : error_set_sentence(e, -EPERM, "%s: not the server that was set up", host);
}

int fetch_url_open(CURLU **ret, const struct fetch_policy *policy, const char *text, char host[128], struct error *e)
{
    CURLU *url;
    struct parts p;
    int r = parse(&url, text);
    if (r == 0) {
        r = take(url, &p);
        if (r < 0)
            curl_url_cleanup(url);
    }
    if (r == -EINVAL)
        return error_set_sentence(e, -EPERM,
                                  "no URL that may be fetched: it is malformed, or has a user or another scheme");
    if (r < 0)
        return error_set_sentence(e, -ENOMEM, "out of memory");
    (void)printable(host, 128, p.host);
    r = policy->origin ? check_origin(policy, &p, host, e) : check_listed(policy, &p, host, e);
    release(&p);
    if (r < 0)
        curl_url_cleanup(url);
    else
        *ret = url;
    return r;
}
