#include "dev/media_snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/printable.h"
#include "codec/digest.h"
#include "fs/readfile.h"
#include "fs/walk.h"

#define FILES_MAX      1000
#define FILE_MAX_BYTES (64 << 20)

struct file {
    char *path;
    int64_t size, mtime_ns;
    unsigned char sha256[DIGEST_SHA256_LEN];
};

struct media_snapshot {
    int len;
    struct file files[FILES_MAX];
};

static int read_file(int root_fd, const char *path, struct file *ret, struct error *e)
{
    struct buf bytes;
    struct stat st = {0};
    struct error why;
    buf_init(&bytes, FILE_MAX_BYTES);
    int r = readfile(root_fd, path, SAFEPATH_NO_LINKS, FILE_MAX_BYTES, &bytes, &st, &why);
    if (r < 0)
        error_set(e, r, "%s %s", path, why.text);
    else if ((r = digest_sha256(bytes.data, bytes.len, ret->sha256)) < 0)
        error_set(e, r, "SHA-256 is not available in this OpenSSL");
    buf_release(&bytes);
    ret->size = st.st_size;
    ret->mtime_ns = clock_ns(st.st_mtim);
    return r;
}

struct taking {
    struct media_snapshot *snapshot;
    int root_fd;
    struct error *error;
};

static int take_file(void *arg, const struct walk_entry *entry)
{
    struct taking *t = arg;
    struct media_snapshot *s = t->snapshot;
    if (entry->kind != WALK_FILE || s->len == FILES_MAX)
        return error_set(t->error, -EINVAL, "%s is not one of our files", entry->path);
    struct file *file = &s->files[s->len];
    int r = read_file(t->root_fd, entry->path, file, t->error);
    if (r < 0)
        return r;
    file->path = strdup(entry->path);
    if (!file->path)
        return error_set(t->error, -ENOMEM, "out of memory");
    s->len++;
    return 0;
}

int media_snapshot_take(struct media_snapshot **ret, int folder_fd, struct error *e)
{
    struct media_snapshot *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, -ENOMEM, "out of memory");
    struct taking taking = {s, folder_fd, e};
    int r = walk_tree(folder_fd, take_file, &taking, e);
    if (r < 0)
        media_snapshot_free(s);
    else
        *ret = s;
    return r;
}

void media_snapshot_free(struct media_snapshot *s)
{
    for (int i = 0; s && i < s->len; i++)
        free(s->files[i].path);
    free(s);
}

int media_snapshot_count(const struct media_snapshot *s)
{
    return s->len;
}

static const struct file *find(const struct media_snapshot *s, const char *path)
{
    for (int i = 0; i < s->len; i++)
        if (strcmp(s->files[i].path, path) == 0)
            return &s->files[i];
    return NULL;
}

struct comparing {
    const struct media_snapshot *snapshot;
    int root_fd, same, different;
};

static int compare_file(void *arg, const struct walk_entry *entry)
{
    struct comparing *c = arg;
    const struct file *before = find(c->snapshot, entry->path);
    struct file now;
    char shown[4 * SAFEPATH_MAX + 1];
    if (before && entry->kind == WALK_FILE && read_file(c->root_fd, entry->path, &now, NULL) == 0 &&
        now.size == before->size && now.mtime_ns == before->mtime_ns &&
        memcmp(now.sha256, before->sha256, sizeof now.sha256) == 0) {
        c->same++;
    } else {
        c->different++;
        fprintf(stderr, "perdura: %s is not what it was\n", printable(shown, sizeof shown, entry->path));
    }
    return 0;
}

int media_snapshot_compare(const struct media_snapshot *s, int folder_fd, int *ret_same, int *ret_different,
                           struct error *e)
{
    struct comparing comparing = {.snapshot = s, .root_fd = folder_fd};
    int r = walk_tree(folder_fd, compare_file, &comparing, e);
    if (r < 0)
        return r;
    *ret_same = comparing.same;
    *ret_different = comparing.different;
    return 0;
}
