#include "client/redis_conn.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/redis_scan.h"

#define RECEIVE_BYTES (64 << 10)

struct redis_conn {
    int fd;
    struct tls *tls; /* NULL: none */
    redisReader *reader;
    struct redis_scan scan;
    int64_t asked; /* commands so far */
    struct redis_conn_options options;
    struct redis_url_host host;
    char run_id[REDIS_CONN_RUN_ID_SIZE];
};

/* Sockets */

static int refuse(struct error *e, int code, const struct redis_url_host *host, const char *why)
{
    char at[REDIS_URL_HOST_SIZE];
    return error_set(e, code, "Redis at %s: %s", redis_url_host_text(host, at), why);
}

static int wait_connected(int fd, int64_t deadline_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int n, failed = 0;
    socklen_t len = sizeof failed;
    while ((n = poll(&p, 1, clock_left_ms(deadline_ms))) < 0 && errno == EINTR)
        ;
    if (n <= 0)
        return n < 0 ? -errno : -ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) < 0 ? -errno : -failed;
}

static int connect_to(const struct addrinfo *a, int64_t deadline_ms, int *ret)
{
    int one = 1;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -errno;
    int r = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : -errno;
    if (r == -EINPROGRESS)
        r = wait_connected(fd, deadline_ms);
    if (r < 0) {
        close(fd);
        return r;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *ret = fd;
    return 0;
}

/* A socket in the file system: unix(7). */
static int dial_socket(const char *path, int64_t deadline_ms, int *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct addrinfo a = {.ai_family = AF_UNIX,
                               .ai_socktype = SOCK_STREAM,
                               .ai_addr = (struct sockaddr *)&address,
                               .ai_addrlen = sizeof address};
    size_t n = strlen(path);
    if (n >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, n);
    return connect_to(&a, deadline_ms, ret);
}

static int dial_name(const struct redis_url_host *host, int64_t deadline_ms, int *ret, const char **ret_why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list;
    char port[16];
    (void)snprintf(port, sizeof port, "%d", host->port);
    int failed = getaddrinfo(host->name, port, &hints, &list);
    if (failed) {
        *ret_why = gai_strerror(failed);
        return -ENOTCONN;
    }
    int r = -ENOTCONN;
    for (const struct addrinfo *a = list; a && r < 0; a = a->ai_next)
        r = connect_to(a, deadline_ms, ret);
    freeaddrinfo(list);
    return r;
}

static int dial(const struct redis_url_host *host, int64_t deadline_ms, int *ret, struct error *e)
{
    const char *why = NULL;
    int r = host->port ? dial_name(host, deadline_ms, ret, &why) : dial_socket(host->name, deadline_ms, ret);
    return r < 0 ? refuse(e, r == -ETIMEDOUT ? r : -ENOTCONN, host, why ? why : strerror(-r)) : 0;
}

static long receive(const struct redis_conn *conn, void *bytes, size_t n, short *ret_events)
{
    if (conn->tls)
        return tls_read(conn->tls, bytes, n, ret_events);
    long got = recv(conn->fd, bytes, n, 0);
    *ret_events = POLLIN;
    return got < 0 ? -errno : got;
}

static long transmit(const struct redis_conn *conn, const void *bytes, size_t n, short *ret_events)
{
    if (conn->tls)
        return tls_write(conn->tls, bytes, n, ret_events);
    long sent = send(conn->fd, bytes, n, MSG_NOSIGNAL);
    *ret_events = POLLOUT;
    return sent < 0 ? -errno : sent;
}

/* Exchanges */

struct exchange {
    struct redis_conn *conn;
    const struct redis_client_commands *cmds;
    struct redis_client_replies *replies;
    int64_t deadline_ms;
    size_t sent, received;
    int moved;    /* since the last wait */
    short events; /* to be waited for */
    struct error *e;
};

static int take_replies(const struct exchange *x)
{
    while (x->replies->count < x->cmds->count) {
        void *reply = NULL;
        if (redisReaderGetReply(x->conn->reader, &reply) != REDIS_OK)
            return refuse(x->e, -EPROTO, &x->conn->host, "does not speak Redis' protocol");
        if (!reply)
            return 0;
        x->replies->list[x->replies->count++] = reply;
    }
    return 0;
}

static int send_some(struct exchange *x)
{
    short events = 0;
    if (x->sent == x->cmds->buf.len)
        return 0;
    long n = transmit(x->conn, x->cmds->buf.data + x->sent, x->cmds->buf.len - x->sent, &events);
    if (n == -EAGAIN || n == -EINTR) {
        x->events |= events;
        return 0;
    }
    if (n < 0)
        return refuse(x->e, -ENOTCONN, &x->conn->host, strerror((int)-n));
    x->sent += (size_t)n;
    x->moved = 1;
    return 0;
}

static int receive_some(struct exchange *x)
{
    char bytes[RECEIVE_BYTES];
    short events = 0;
    long n = receive(x->conn, bytes, sizeof bytes, &events);
    if (n == -EAGAIN || n == -EINTR) {
        x->events |= events;
        return 0;
    }
    if (n <= 0)
        return refuse(x->e, -ENOTCONN, &x->conn->host, n ? strerror((int)-n) : "the connection was closed");
    x->received += (size_t)n;
    x->moved = 1;
    int r =
        x->received > x->conn->options.reply_max_bytes ? -EMSGSIZE : redis_scan_bytes(&x->conn->scan, bytes, (size_t)n);
    if (r == -EMSGSIZE)
        return refuse(x->e, r, &x->conn->host, "answers with more than what was put there");
    if (r < 0)
        return refuse(x->e, r, &x->conn->host, "does not speak Redis' protocol");
    if (redisReaderFeed(x->conn->reader, bytes, (size_t)n) != REDIS_OK)
        return error_set(x->e, -ENOMEM, "out of memory");
    return take_replies(x);
}

static int wait_for_more(const struct exchange *x)
{
    struct pollfd p = {.fd = x->conn->fd, .events = x->events};
    int left_ms = clock_left_ms(x->deadline_ms);
    int silence_ms = x->cmds->unhurried ? left_ms : x->conn->options.silence_ms;
    int n = left_ms ? poll(&p, 1, left_ms < silence_ms ? left_ms : silence_ms) : 0;
    if (n == 0)
        return refuse(x->e, -ETIMEDOUT, &x->conn->host, "takes too long to answer");
    return n > 0 || errno == EINTR ? 0 : error_set(x->e, -errno, "poll: %s", strerror(errno));
}

int redis_conn_exchange(struct redis_conn *conn, const struct redis_client_commands *cmds, int64_t deadline_ms,
                        struct redis_client_replies *ret, struct error *e)
{
    struct exchange x = {.conn = conn, .cmds = cmds, .replies = ret, .deadline_ms = deadline_ms, .e = e};
    int r = 0;
    ret->count = 0;
    conn->asked += cmds->count;
    while (r == 0 && ret->count < cmds->count) {
        x.moved = x.events = 0;
        r = send_some(&x);
        if (r == 0)
            r = receive_some(&x);
        if (r == 0 && !x.moved)
            r = wait_for_more(&x);
    }
    /* What is too much would be taken for the answer to the next command. */
    if (r == 0 && (conn->scan.replies != conn->asked || !redis_scan_is_between(&conn->scan)))
        r = refuse(e, -EPROTO, &conn->host, "sends more answers than there were commands");
    if (r < 0)
        redis_client_replies_release(ret);
    return r;
}

int redis_conn_ask(struct redis_conn *conn, int argc, const char *const *argv, int64_t deadline_ms,
                   struct redis_client_replies *ret, struct error *e)
{
    struct redis_client_commands cmds;
    redis_client_commands_init(&cmds, 4096);
    int r = redis_client_add(&cmds, argc, argv, NULL);
    r = r < 0 ? error_set(e, r, "out of memory") : redis_conn_exchange(conn, &cmds, deadline_ms, ret, e);
    redis_client_commands_release(&cmds);
    return r;
}

int redis_conn_is_quiet(const struct redis_conn *conn)
{
    struct pollfd p = {.fd = conn->fd, .events = POLLIN | POLLRDHUP};
    return poll(&p, 1, 0) == 0;
}

/* Opening */

int redis_conn_dial(struct redis_conn **ret, const struct redis_conn_options *o, const struct redis_url_host *host,
                    int64_t deadline_ms, struct error *e)
{
    struct redis_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return error_set(e, -ENOMEM, "out of memory");
    conn->fd = -1;
    conn->options = *o;
    conn->host = *host;
    conn->reader = redisReaderCreate();
    redis_scan_init(&conn->scan, o->reply_max_bytes);
    int r = conn->reader ? dial(host, deadline_ms, &conn->fd, e) : error_set(e, -ENOMEM, "out of memory");
    if (r == 0 && o->tls) {
        struct error why;
        r = tls_open(&conn->tls, o->tls, conn->fd, host->name, deadline_ms, &why);
        if (r < 0)
            r = refuse(e, r, host, why.text);
    }
    if (r < 0)
        redis_conn_close(conn);
    else
        *ret = conn;
    return r;
}

/* What a server is told and asked first; each reply is looked at by its place. */
struct greeting {
    struct redis_client_commands cmds;
    int auth, select, role, info; /* places; -1: not sent */
};

static int add_if(struct greeting *g, int wanted, int *ret_place, int argc, const char *const *argv)
{
    *ret_place = wanted ? g->cmds.count : -1;
    return wanted ? redis_client_add(&g->cmds, argc, argv, NULL) : 0;
}

static int compose(struct greeting *g, const struct redis_url *url)
{
    const char *plain[] = {"AUTH", url->password}, *named[] = {"AUTH", url->user, url->password};
    char database[16];
    const char *select[] = {"SELECT", database}, *role[] = {"ROLE"}, *info[] = {"INFO", "server"};
    (void)snprintf(database, sizeof database, "%d", url->database);
    redis_client_commands_init(&g->cmds, 4096);
    int r = *url->user ? add_if(g, 1, &g->auth, 3, named) : add_if(g, *url->password, &g->auth, 2, plain);
    if (r == 0)
        r = add_if(g, url->database > 0, &g->select, 2, select);
    if (r == 0)
        r = add_if(g, *url->master, &g->role, 1, role);
    return r < 0 ? r : add_if(g, 1, &g->info, 2, info);
}

static const char *failure(const struct redis_client_replies *replies, int place)
{
    if (place < 0 || redis_client_kind(replies->list[place]) != REDIS_CLIENT_ERROR)
        return NULL;
    return redis_client_text(replies->list[place], NULL);
}

static int is_master(const void *role)
{
    const void *kind = redis_client_length(role) ? redis_client_at(role, 0) : NULL;
    const char *text = kind ? redis_client_text(kind, NULL) : NULL;
    return text && strcmp(text, "master") == 0;
}

/* The value of a line of INFO, "" when there is none: some may not ask for it. */
static void copy_info(char *dst, size_t size, const void *info, const char *field)
{
    const char *text = redis_client_text(info, NULL), *at = text ? strstr(text, field) : NULL;
    *dst = '\0';
    if (at)
        (void)snprintf(dst, size, "%.*s", (int)strcspn(at + strlen(field), "\r\n"), at + strlen(field));
}

/* Servers that have the protocol, and not what is needed. */
static const char *find_mode_problem(const void *info)
{
    char mode[16];
    copy_info(mode, sizeof mode, info, "\nredis_mode:");
    if (strcmp(mode, "cluster") == 0)
        return "is part of a Redis Cluster, which is not supported: use a Redis of its own";
    if (strcmp(mode, "sentinel") == 0)
        return "is a Sentinel: set REDIS_URL to redis+sentinel://host:port/master";
    return NULL;
}

static int check_greeting(struct redis_conn *conn, const struct greeting *g, const struct redis_client_replies *replies,
                          struct error *e)
{
    const char *why = failure(replies, g->auth);
    if (why)
        return refuse(e, -EACCES, &conn->host, why);
    why = failure(replies, g->select);
    if (!why)
        why = failure(replies, g->role);
    if (!why && failure(replies, g->info) && strncmp(failure(replies, g->info), "NOPERM", 6) != 0)
        why = failure(replies, g->info);
    if (why)
        return refuse(e, strncmp(why, "NOAUTH", 6) == 0 ? -EACCES : -ENOTCONN, &conn->host, why);
    if (g->role >= 0 && !is_master(replies->list[g->role]))
        return refuse(e, -ENOTCONN, &conn->host, "is no master any more");
    why = find_mode_problem(replies->list[g->info]);
    if (why)
        return refuse(e, -ENOTCONN, &conn->host, why);
    /* Without it the server counts as another one each time. */
    copy_info(conn->run_id, sizeof conn->run_id, replies->list[g->info], "\nrun_id:");
    return 0;
}

static int greet(struct redis_conn *conn, int64_t deadline_ms, struct error *e)
{
    struct greeting g;
    struct redis_client_replies replies;
    int r = compose(&g, conn->options.url);
    r = r < 0 ? error_set(e, r, "out of memory") : redis_conn_exchange(conn, &g.cmds, deadline_ms, &replies, e);
    if (r == 0) {
        r = check_greeting(conn, &g, &replies, e);
        redis_client_replies_release(&replies);
    }
    redis_client_commands_release(&g.cmds);
    return r;
}

int redis_conn_open(struct redis_conn **ret, const struct redis_conn_options *o, int64_t deadline_ms, struct error *e)
{
    struct redis_conn_options patient = *o;
    struct redis_url_host host = o->url->hosts[0];
    struct redis_conn *conn;
    patient.silence_ms = clock_left_ms(deadline_ms);
    int r = *o->url->master ? redis_sentinel_resolve(&patient, deadline_ms, &host, e) : 0;
    if (r == 0)
        r = redis_conn_dial(&conn, &patient, &host, deadline_ms, e);
    if (r < 0)
        return r;
    r = greet(conn, deadline_ms, e);
    conn->options = *o;
    if (r < 0)
        redis_conn_close(conn);
    else
        *ret = conn;
    return r;
}

const char *redis_conn_run_id(const struct redis_conn *conn)
{
    return conn->run_id;
}

const struct redis_url_host *redis_conn_host(const struct redis_conn *conn)
{
    return &conn->host;
}

void redis_conn_close(struct redis_conn *conn)
{
    if (!conn)
        return;
    tls_close(conn->tls);
    if (conn->fd >= 0)
        close(conn->fd);
    if (conn->reader)
        redisReaderFree(conn->reader);
    free(conn);
}
