/* Who is master now: Sentinels know. Each is asked until one answers; they need not all agree, as the server is asked
 * for its role before it is used (Redis' guide for clients of Sentinel). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/redis_conn.h"

static int port_of(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);
    return *end || port < 1 || port > 65535 ? -1 : (int)port;
}

static int read_address(const void *reply, struct redis_url_host *ret)
{
    if (redis_client_length(reply) != 2)
        return -ENOENT;
    const char *name = redis_client_text(redis_client_at(reply, 0), NULL);
    const char *port = redis_client_text(redis_client_at(reply, 1), NULL);
    if (!name || !*name || strlen(name) >= sizeof ret->name || !port || port_of(port) < 0)
        return -ENOENT;
    (void)snprintf(ret->name, sizeof ret->name, "%s", name);
    ret->port = port_of(port);
    return 0;
}

static int is_refused(const struct redis_client_replies *replies)
{
    const char *text =
        redis_client_kind(replies->list[0]) == REDIS_CLIENT_ERROR ? redis_client_text(replies->list[0], NULL) : NULL;
    return text && strncmp(text, "NOAUTH", 6) == 0;
}

/* A Sentinel that wants a password is taken to have Redis' one. */
static int let_in(struct redis_conn *conn, const struct redis_url *url, int64_t deadline_ms, struct error *e)
{
    struct redis_client_replies replies;
    const char *argv[3] = {"AUTH"};
    int argc = 1;
    if (*url->user)
        argv[argc++] = url->user;
    argv[argc++] = url->password;
    int r = redis_conn_ask(conn, argc, argv, deadline_ms, &replies, e);
    if (r == 0)
        redis_client_replies_release(&replies);
    return r;
}

static int ask(const struct redis_conn_options *o, const struct redis_url_host *sentinel, int64_t deadline_ms,
               struct redis_url_host *ret, struct error *e)
{
    const char *argv[] = {"SENTINEL", "get-master-addr-by-name", o->url->master};
    struct redis_client_replies replies;
    struct redis_conn *conn;
    int r = redis_conn_dial(&conn, o, sentinel, deadline_ms, e);
    if (r < 0)
        return r;
    r = redis_conn_ask(conn, 3, argv, deadline_ms, &replies, e);
    if (r == 0 && is_refused(&replies)) {
        redis_client_replies_release(&replies);
        r = let_in(conn, o->url, deadline_ms, e);
        if (r == 0)
            r = redis_conn_ask(conn, 3, argv, deadline_ms, &replies, e);
    }
    if (r == 0) {
        r = read_address(replies.list[0], ret);
        if (r < 0)
            error_set(e, -ENOTCONN, "the Sentinel at %s:%d knows no master \"%s\"", sentinel->name, sentinel->port,
                      o->url->master);
        redis_client_replies_release(&replies);
    }
    redis_conn_close(conn);
    return r;
}

int redis_sentinel_resolve(const struct redis_conn_options *o, int64_t deadline_ms, struct redis_url_host *ret,
                           struct error *e)
{
    int r = -ENOTCONN, n = o->url->hosts_len;
    for (int i = 0; i < n && r < 0; i++) /* one that hangs leaves time for the others */
        r = ask(o, &o->url->hosts[i], clock_monotonic_ms() + clock_left_ms(deadline_ms) / (n - i + 1), ret, e);
    return r < 0 ? -ENOTCONN : 0;
}
