/* safepath_check accepts only what its contract says, and what it accepts, opened or made beneath a root by any way,
 * never leaves that root: not even through the links in it, which lead up, out, around and in.
 *
 * The first byte of an input chooses between the rest as it is and a path put together from words. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "fs/safepath.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {"/",  "/", "/", "d",    "f",      "in",  "out",      "up",
                                    "..", ".", "a", "loop", "around", "\n",  ".perdura", "\xc3\xa9",
                                    "e",  "~", "*", "\xff", "\\",     "...", " ",        "etc/passwd"};
#define WORDS (sizeof words / sizeof words[0])

static char root[PATH_MAX];
static int root_fd = -1;

static void require(int cond, const char *what)
{
    if (cond)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void remove_root(void)
{
    nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const char *in = getenv("TMPDIR");
    char made[PATH_MAX];
    snprintf(made, sizeof made, "%s/fuzz-path.XXXXXX", in && *in ? in : "/tmp");
    require(mkdtemp(made) && realpath(made, root), "a scratch folder");
    atexit(remove_root);
    root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int f = mkdirat(root_fd, "d", 0755) == 0 ? openat(root_fd, "d/f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
    require(f >= 0 && mkdirat(root_fd, "d/e", 0755) == 0 && symlinkat("d", root_fd, "in") == 0 &&
                symlinkat("/", root_fd, "out") == 0 && symlinkat("..", root_fd, "up") == 0 &&
                symlinkat("../../..", root_fd, "d/up") == 0 && symlinkat("loop", root_fd, "loop") == 0 &&
                symlinkat("../in/e", root_fd, "d/around") == 0 && symlinkat("/proc/self/root", root_fd, "~") == 0,
            "the tree");
    close(f);
    return 0;
}

/* Whether path holds the component `want` anywhere, or as the first one only. */
static int has_component(const char *path, const char *want, int first_only)
{
    size_t n = strlen(want);
    for (const char *at = path; at; at = first_only ? NULL : strchr(at, '/')) {
        at += *at == '/' && at != path;
        if (strncmp(at, want, n) == 0 && (at[n] == '/' || at[n] == '\0'))
            return 1;
    }
    return 0;
}

/* The contract once more, written differently on purpose. */
static int may_name_an_image(const char *path, size_t len)
{
    if (len == 0 || len > 2048 || strlen(path) != len || !utf8_valid(path, len))
        return 0;
    if (path[0] == '/' || path[len - 1] == '/' || strstr(path, "//"))
        return 0;
    for (size_t i = 0, run = 0; i < len; i++) {
        run = path[i] == '/' ? 0 : run + 1;
        if (run > 255)
            return 0;
    }
    return !has_component(path, ".", 0) && !has_component(path, "..", 0) && !has_component(path, ".perdura", 1);
}

static void require_beneath(int fd)
{
    char link[64];
    char at[PATH_MAX + 1];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, at, PATH_MAX);
    require(n > 0, "a path of the descriptor");
    at[n] = '\0';
    size_t root_len = strlen(root);
    require(strncmp(at, root, root_len) == 0 && (at[root_len] == '/' || at[root_len] == '\0'), "opened beneath root");
}

static void open_all_ways(const char *path)
{
    static const int flags[] = {O_RDONLY | O_NONBLOCK, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, O_PATH,
                                O_PATH | O_NOFOLLOW};
    for (int way = 0; way < 16; way++) {
        safepath_force_fallback(way & 1);
        int fd = safepath_open(root_fd, path, flags[way >> 2], way & 2 ? SAFEPATH_BENEATH : SAFEPATH_NO_LINKS);
        require(fd >= 0 || (fd != -EPERM && fd != -EMFILE && fd != -EINVAL), "an error about the path");
        if (fd >= 0) {
            require_beneath(fd);
            close(fd);
        }
    }
}

/* Removes the folders above `path` that are empty, but for those of the tree. */
static void remove_made(const char *path)
{
    char above[SAFEPATH_MAX + 1];
    snprintf(above, sizeof above, "%s", path);
    for (char *slash; (slash = strrchr(above, '/'));) {
        const char *name;
        *slash = '\0';
        int fd = strcmp(above, "d/e") == 0 ? -1 : safepath_open_parent(root_fd, above, 0, &name);
        if (fd >= 0) {
            (void)unlinkat(fd, name, AT_REMOVEDIR);
            close(fd);
        }
    }
}

static void make_parent(const char *path, int fallback)
{
    const char *name = NULL;
    safepath_force_fallback(fallback);
    int fd = safepath_open_parent(root_fd, path, 1, &name);
    if (fd >= 0) {
        require_beneath(fd);
        require(name && *name && !strchr(name, '/') && strcmp(name, "..") != 0, "a name");
        close(fd);
    }
    remove_made(path);
}

static size_t put_together(char *path, size_t room, const uint8_t *data, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < size; i++) {
        const char *word = words[data[i] % WORDS];
        size_t n = strlen(word);
        if (len + n + 1 > room)
            break;
        memcpy(path + len, word, n);
        len += n;
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[4096];
    if (size == 0)
        return 0;
    size_t len = size - 1 < sizeof path ? size - 1 : sizeof path - 1;
    if (data[0] & 1)
        len = put_together(path, sizeof path, data + 1, size - 1);
    else
        memcpy(path, data + 1, len);
    path[len] = '\0';

    struct error e = {0};
    int r = safepath_check(path, len, &e);
    require((r == 0) == may_name_an_image(path, len), "the contract of safepath_check");
    require(r == e.code && (r == 0) == (e.text[0] == '\0'), "a text for each refusal");
    open_all_ways(path); /* Also what was refused must not get out. */
    if (r == 0) {
        make_parent(path, 0);
        make_parent(path, 1);
    }
    return 0;
}
