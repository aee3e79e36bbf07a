#include "dev/private_redis.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct private_server_kind kind = {
    .title = "Redis",
    .name = "redis",
    .user = "redis",
    .socket = "redis.sock",
    .ways = {{SIGTERM, 2000}, {SIGKILL, 10000}},
};

static int is_ready(const struct private_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    memcpy(address.sun_path, server->socket, sizeof server->socket);
    int r = connect(fd, (const struct sockaddr *)&address, sizeof address);
    close(fd);
    return r == 0;
}

static int start_server(struct private_redis *redis, struct error *e)
{
    const char *const argv[] = {redis->program,
                                "--port",
                                "0",
                                "--unixsocket",
                                redis->server.socket,
                                "--unixsocketperm",
                                "700",
                                "--daemonize",
                                "no",
                                "--appendonly",
                                "no",
                                "--maxmemory",
                                "64mb",
                                "--maxmemory-policy",
                                "allkeys-lru",
                                "--save",
                                "",
                                NULL};
    return private_server_spawn(&redis->server, argv, SIGKILL, &redis->server.pid, e);
}

int private_redis_start(struct private_redis *redis, struct dev_folder *folder, struct stop_signals *signals,
                        struct error *e)
{
    *redis = (struct private_redis){0};
    if (subprocess_find("redis-server", redis->program) < 0)
        return error_set(e, -ENOENT, "no redis-server is installed");
    int r = private_server_prepare(&redis->server, &kind, folder, signals, e);
    if (r == 0)
        r = start_server(redis, e);
    if (r == 0)
        r = private_server_await(&redis->server, is_ready, e);
    if (r == 0)
        snprintf(redis->url, sizeof redis->url, "unix://%s?db=0", redis->server.socket);
    else
        private_server_stop(&redis->server);
    return r;
}
