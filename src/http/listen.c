#include "http/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at = {.any = {0}};
    socklen_t n = sizeof at;
    if (getsockname(fd, &at.any, &n) < 0)
        return 0;
    return ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port);
}

static int listen_at(const struct addrinfo *at)
{
    const int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

int http_listen(const char *address, int port, int *ret_fd, int *ret_port, struct error *e)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list;
    char service[16];
    (void)snprintf(service, sizeof service, "%d", port);
    int r = getaddrinfo(address, service, &hints, &list);
    if (r)
        return error_set(e, -EINVAL, "PERDURA_BIND: %s is no address of this machine: %s", address, gai_strerror(r));
    int fd = listen_at(list);
    freeaddrinfo(list);
    if (fd == -EADDRINUSE)
        return error_set(e, fd, "port %d of %s is taken by another program: set PERDURA_PORT to a free one", port,
                         address);
    if (fd < 0)
        return error_set(e, fd, "can't listen on %s port %d (PERDURA_BIND, PERDURA_PORT): %s", address, port,
                         strerror(-fd));
    *ret_fd = fd;
    *ret_port = bound_port(fd);
    return 0;
}
