/* Asks a server of 127.0.0.1 for a list of things, each once and in the list's order, and does nothing with the
 * answers.
 *
 *   ask_all [-c N] http PORT LIST TIERS
 *       LIST has a URL path a line; TIERS gets for each the answer's X-Cache-Tier. Any status but 200 is a failure.
 *   ask_all [-c N] [-d DEPTH] redis PORT LIST
 *       LIST has a key a line: HGETALL of each, at most DEPTH of them under way on each connection.
 *
 * -c connections, one thread each; all take from the same list. Prints one line of JSON like yardstick's. Any failure
 * ends the program with 1 and a line on stderr. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TOOL "ask_all"
#include "tool.h"

#define CONNECTIONS_MAX 1000
#define DEPTH_MAX       256
#define REQUEST_MAX     1024
#define BUFFER_BYTES    (64 << 10)
#define TIER_SIZE       16

struct list {
    char **lines;
    size_t count;
    atomic_size_t next;
    char (*tiers)[TIER_SIZE];
};

struct task {
    pthread_t thread;
    int fd;
    int is_redis;
    long depth;
    struct list *list;
    long images;       /* done */
    int64_t bytes;     /* done */
    size_t first, end; /* what of `data` was received and not yet looked at */
    char data[BUFFER_BYTES];
};

static FILE *open_file(const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);
    if (!file)
        die("%s: %s", path, strerror(errno));
    return file;
}

static void list_load(struct list *list, const char *path)
{
    FILE *file = open_file(path, "re");
    char *line = NULL;
    size_t size = 0, room = 0;
    ssize_t length;
    while ((length = getline(&line, &size, file)) > 0) {
        if (list->count == room) {
            room = room ? 2 * room : 1024;
            list->lines = realloc(list->lines, room * sizeof *list->lines);
            if (!list->lines)
                die("out of memory");
        }
        line[length - (line[length - 1] == '\n')] = '\0';
        list->lines[list->count++] = strdup(line);
    }
    free(line);
    (void)fclose(file);
    list->tiers = allocate(list->count, sizeof *list->tiers);
}

static int connect_to(long port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        die("port %ld: %s", port, strerror(errno));
    return fd;
}

/* Receiving */

static void receive(struct task *t)
{
    memmove(t->data, t->data + t->first, t->end - t->first);
    t->end -= t->first;
    t->first = 0;
    if (t->end == sizeof t->data)
        die("a line has no end");
    ssize_t n = recv(t->fd, t->data + t->end, sizeof t->data - t->end, 0);
    if (n <= 0)
        die("the connection is gone: %s", n ? strerror(errno) : "closed");
    t->end += (size_t)n;
}

/* Without its line end. It stays valid until the next line is asked for. */
static const char *line_of(struct task *t)
{
    size_t seen = 0;
    char *end;
    while (!(end = memchr(t->data + t->first + seen, '\n', t->end - t->first - seen))) {
        seen = t->end - t->first;
        receive(t);
    }
    char *line = t->data + t->first;
    t->first = (size_t)(end - t->data) + 1;
    *end = '\0';
    if (end > line && end[-1] == '\r')
        end[-1] = '\0';
    return line;
}

static void skip(struct task *t, int64_t n)
{
    while (n > 0) {
        if (t->first == t->end)
            receive(t);
        int64_t here = n < (int64_t)(t->end - t->first) ? n : (int64_t)(t->end - t->first);
        t->first += (size_t)here;
        n -= here;
    }
}

static int64_t length_of(const char *text)
{
    char *end;
    int64_t n = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || n < 0)
        die("%s: a length was expected", text);
    return n;
}

static void read_http(struct task *t, size_t item)
{
    const char *line = line_of(t);
    int64_t length = -1;
    if (strncmp(line, "HTTP/1.1 200 ", 13) != 0)
        die("%s: %s", t->list->lines[item], line);
    while (*(line = line_of(t))) {
        if (!strncasecmp(line, "Content-Length: ", 16))
            length = length_of(line + 16);
        else if (!strncasecmp(line, "X-Cache-Tier: ", 14))
            (void)snprintf(t->list->tiers[item], TIER_SIZE, "%s", line + 14);
    }
    if (length < 0)
        die("%s: an answer without Content-Length", t->list->lines[item]);
    skip(t, length);
    t->bytes += length;
}

static void read_redis(struct task *t, size_t item)
{
    const char *line = line_of(t);
    if (*line != '*' || !strcmp(line, "*0"))
        die("%s: %s", t->list->lines[item], line);
    for (int64_t parts = length_of(line + 1); parts > 0; parts--) {
        line = line_of(t);
        if (*line != '$')
            die("%s: %s", t->list->lines[item], line);
        int64_t length = length_of(line + 1);
        skip(t, length + 2);
        t->bytes += length;
    }
}

/* Asking */

static int format_request(const struct task *t, size_t item, char *to, size_t size)
{
    const char *line = t->list->lines[item];
    int n = t->is_redis ? snprintf(to, size, "*2\r\n$7\r\nHGETALL\r\n$%zu\r\n%s\r\n", strlen(line), line)
                        : snprintf(to, size, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", line);
    if (n < 0 || (size_t)n >= size)
        die("%s: too long", line);
    return n;
}

static void send_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent < 0)
            die("cannot send: %s", strerror(errno));
        data += sent;
        n -= (size_t)sent;
    }
}

/* Half of what may be under way is sent at once, when the other half is answered. */
static void *ask(void *arg)
{
    struct task *t = arg;
    size_t items[DEPTH_MAX], sent = 0, answered = 0, item = 0;
    size_t depth = (size_t)t->depth, at_once = (depth + 1) / 2;
    char *requests = allocate(at_once, REQUEST_MAX);

    while (item < t->list->count || answered < sent) {
        size_t length = 0;
        for (size_t i = 0; i < at_once && sent - answered + at_once - i <= depth && item < t->list->count; i++) {
            if ((item = atomic_fetch_add(&t->list->next, 1)) >= t->list->count)
                break;
            items[sent++ % DEPTH_MAX] = item;
            length += (size_t)format_request(t, item, requests + length, REQUEST_MAX);
        }
        send_all(t->fd, requests, length);
        if (answered == sent)
            break;
        (t->is_redis ? read_redis : read_http)(t, items[answered++ % DEPTH_MAX]);
        t->images++;
    }
    free(requests);
    return NULL;
}

static void write_tiers(const struct list *list, const char *path)
{
    FILE *file = open_file(path, "we");
    for (size_t i = 0; i < list->count; i++)
        fprintf(file, "%s\n", list->tiers[i]);
    if (fclose(file) != 0)
        die("%s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
    struct list list = {0};
    long connections = 1, depth = 1, images = 0;
    int64_t bytes = 0;
    int option;

    while ((option = getopt(argc, argv, "c:d:")) != -1) {
        if (option == 'c')
            connections = number(optarg, 1, CONNECTIONS_MAX);
        else if (option == 'd')
            depth = number(optarg, 1, DEPTH_MAX);
        else
            return 2;
    }
    argv += optind;
    argc -= optind;
    int is_redis = argc == 3 && !strcmp(argv[0], "redis");
    if (!is_redis && (argc != 4 || strcmp(argv[0], "http") != 0 || depth != 1))
        die("usage: ask_all [-c N] http PORT LIST TIERS | [-c N] [-d DEPTH] redis PORT LIST");
    list_load(&list, argv[2]);

    struct task *tasks = allocate((size_t)connections, sizeof *tasks);
    for (long i = 0; i < connections; i++) {
        tasks[i].fd = connect_to(number(argv[1], 1, 65535));
        tasks[i].is_redis = is_redis;
        tasks[i].depth = depth;
        tasks[i].list = &list;
    }
    double start = now();
    for (long i = 0; i < connections; i++)
        if (pthread_create(&tasks[i].thread, NULL, ask, &tasks[i]) != 0)
            die("cannot start a thread");
    for (long i = 0; i < connections; i++) {
        pthread_join(tasks[i].thread, NULL);
        images += tasks[i].images;
        bytes += tasks[i].bytes;
    }
    double seconds = now() - start;
    if (!is_redis)
        write_tiers(&list, argv[3]);
    printf("{\"work\":\"%s\",\"connections\":%ld,\"images\":%ld,\"bytes\":%lld,\"seconds\":%.6f,"
           "\"images_per_s\":%.1f}\n",
           argv[0], connections, images, (long long)bytes, seconds, (double)images / seconds);
    return 0;
}
