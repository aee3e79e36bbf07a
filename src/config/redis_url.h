/* How to reach Redis, as text:
 *
 *     redis://[user][:password]@host:port/db                          rediss:// with TLS
 *     redis+sentinel://[user:password@]host:port,host:port/master/db  rediss+sentinel:// with TLS
 *     unix://[user:password@]/path/of/socket?db=0                     as redis-py has it
 *
 * valkey:// and valkeys:// are redis:// and rediss://. Of the parameters behind a '?', which other clients have, db
 * counts, and ssl_cert_reqs=none (the certificate is not verified); what remains is dropped and named.
 *
 * User, password and the socket's path may hold %XX. Ports default to 6379, those of sentinels to 26379; an IPv6
 * address stands in []. */
#ifndef CONFIG_REDIS_URL_H
#define CONFIG_REDIS_URL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

#define REDIS_URL_HOSTS_MAX 8
#define REDIS_URL_PORT      6379
#define REDIS_URL_ACCEPTED                                                                                             \
    "accepted: redis://[user][:password]@host:port/db, rediss://, redis+sentinel://h1:p1,h2:p2/master/db or "          \
    "unix:///path/of/socket?db=N"

#define REDIS_URL_DROPPED_SIZE 128

struct redis_url {
    bool tls;
    bool insecure;                        /* any certificate will do */
    char dropped[REDIS_URL_DROPPED_SIZE]; /* names of parameters that have no meaning here; "": none */
    char user[128], password[512];        /* "": none */
    int database;                         /* -1: not named */
    char master[128];                     /* what the hosts, Sentinels, know it by; "": the one host is Redis itself */
    int hosts_len;
    struct redis_url_host {
        char name[256];
        int port; /* 0: name is the path of a unix socket */
    } hosts[REDIS_URL_HOSTS_MAX];
};

/* -EINVAL and a phrase that fits behind the text and repeats nothing of it. */
int redis_url_parse(const char *text, struct redis_url *ret, struct error *e) __attribute__((warn_unused_result));

#define REDIS_URL_HOST_SIZE 300

/* "host:port", or the socket's path. Returns dst. */
const char *redis_url_host_text(const struct redis_url_host *host, char dst[REDIS_URL_HOST_SIZE]);

/* Appends the text with the password shown as ***. 0, -EMSGSIZE, -ENOMEM. */
int redis_url_mask(const char *text, struct buf *out) __attribute__((warn_unused_result));

#endif
