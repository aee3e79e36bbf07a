#include "tier/tier_copies.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/config.h"
#include "fs/atomicfile.h"
#include "fs/make_folder.h"
#include "tier/copy_meta.h"
#include "tier/tier_disk.h"

#define NOTES          SAFEPATH_OWN_FOLDER "/notes"
#define NOTE_PATH_SIZE (sizeof NOTES + 1 + COPY_NAME_SIZE)
#define NS_PER_S       INT64_C(1000000000)
#define DAY_S          86400
#define MEMORY_MAX     (1 << 20) /* larger ones are hashed as they are read */

/* The folders are those of collections for tier_disk, which knows how to open, hash and replace files; an image's path
 * there is the name of its file. */
struct tier_copies {
    struct tier_disk *disk;
    size_t count;
    struct config_collection folders[];
};

struct tier_copies *tier_copies_new(const struct config *config)
{
    size_t count = config->image_origins_len;
    struct tier_copies *c = calloc(1, sizeof *c + count * sizeof c->folders[0]);
    if (!c)
        return NULL;
    for (; c->count < count; c->count++) {
        struct config_collection *folder = &c->folders[c->count];
        folder->name = config->image_origins[c->count].collection;
        if (asprintf(&folder->root, "%s/%s", config->cache_dir, folder->name) < 0)
            break;
    }
    if (c->count == count)
        c->disk = tier_disk_new(c->folders, count, MEMORY_MAX, config->max_upload_bytes);
    if (c->disk)
        return c;
    tier_copies_free(c);
    return NULL;
}

void tier_copies_free(struct tier_copies *c)
{
    if (!c)
        return;
    tier_disk_free(c->disk);
    for (size_t i = 0; i < c->count; i++)
        free(c->folders[i].root);
    free(c);
}

/* Folders and names */

static const char *folder_of(const struct tier_copies *c, const char *collection)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->folders[i].name, collection) == 0)
            return c->folders[i].root;
    return NULL;
}

static int name_of(const struct image_key *key, char ret[COPY_NAME_SIZE], struct error *e)
{
    int r = copy_name(ret, key->path);
    return r < 0 ? error_set(e, r, "MD5 is not available in this OpenSSL") : 0;
}

static int open_folder(struct tier_copies *c, const char *collection, int *ret)
{
    return tier_disk_root(c->disk, collection, TIER_DISK_EXISTING, ret, NULL);
}

/* The folder may have been removed, and made anew by others, at any time. */
static int make_place(struct tier_copies *c, const char *collection, struct staging **ret, struct error *e)
{
    const char *path = folder_of(c, collection);
    if (!path)
        return error_set(e, -ENOENT, "\"%s\" has no origin", collection);
    int r = access(path, F_OK) < 0 ? make_folder(path, e) : 0;
    if (r == 0)
        r = tier_disk_reopen(c->disk, collection, e);
    return r < 0 ? r : tier_disk_staging(c->disk, collection, ret, e);
}

static void note_path(char ret[NOTE_PATH_SIZE], const char *name)
{
    (void)snprintf(ret, NOTE_PATH_SIZE, NOTES "/%s", name);
}

static int read_note(int folder, const char *name, struct copy_meta *ret)
{
    char path[NOTE_PATH_SIZE], text[COPY_META_MAX_BYTES];
    note_path(path, name);
    int fd = openat(folder, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, sizeof text);
    int r = n < 0 ? -errno : copy_meta_parse(ret, text, (size_t)n);
    close(fd);
    return r;
}

static int remove_file(int folder, const char *name)
{
    int was_there = unlinkat(folder, name, 0) == 0;
    tier_copies_drop_note(folder, name);
    return was_there;
}

/* Reading */

/* Completes what the file alone tells by what its note does. */
static int describe(const struct image_key *key, int folder, const struct image *file, const struct filestate *state,
                    struct image **ret, struct error *e)
{
    const char *name = file->meta.key.path;
    struct image_meta meta = file->meta;
    struct copy_meta note;
    const struct copy_content *content = NULL;
    int r = read_note(folder, name, &note);
    if (r == 0 && strcmp(note.path, key->path) != 0)
        return error_set(e, -ENOENT, "is not there, but another image of the same MD5");
    if (r == 0)
        content = copy_meta_find(&note, meta.sha256);
    if (r == -EBADMSG || (r == 0 && !content)) {
        (void)remove_file(folder, name);
        return error_set(e, -ENOENT, "was damaged");
    }
    if (r < 0 && r != -ENOENT)
        return error_set(e, r, "has a note that can't be read: %s", strerror(-r));
    meta.key = *key;
    meta.checked_us = state->mtime_ns / 1000;
    meta.etag = content && *content->etag ? content->etag : NULL;
    if (content)
        meta.mtime_ns = content->modified_s * NS_PER_S;
    int fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
    *ret = fd < 0 ? NULL : image_new_file(&meta, fd);
    if (*ret)
        return 0;
    if (fd >= 0)
        close(fd);
    return error_set(e, fd < 0 ? -EMFILE : -ENOMEM, "can't be opened: %s", strerror(fd < 0 ? EMFILE : ENOMEM));
}

int tier_copies_open(struct tier_copies *c, const struct image_key *key, struct image **ret,
                     struct filestate *ret_state, struct error *e)
{
    char name[COPY_NAME_SIZE];
    const struct image_key inner = {key->collection, name};
    struct image *file;
    int folder;
    int r = name_of(key, name, e);
    if (r < 0)
        return r;
    r = tier_disk_open(c->disk, &inner, &file, ret_state, e);
    if (r == -ENOENT && tier_disk_reopen(c->disk, key->collection, NULL) == 1)
        r = tier_disk_open(c->disk, &inner, &file, ret_state, e);
    if (r == -EINVAL && open_folder(c, key->collection, &folder) == 0) {
        (void)remove_file(folder, name);
        return error_set(e, -ENOENT, "was damaged");
    }
    if (r < 0)
        return r;
    r = open_folder(c, key->collection, &folder);
    r = r < 0 ? error_set(e, r, "has no folder any more") : describe(key, folder, file, ret_state, ret, e);
    image_unref(file);
    return r;
}

int tier_copies_state(struct tier_copies *c, const struct image_key *key, struct filestate *ret)
{
    char name[COPY_NAME_SIZE];
    int r = name_of(key, name, NULL);
    return r < 0 ? r : tier_disk_state(c->disk, &(struct image_key){key->collection, name}, ret);
}

/* Writing */

int tier_copies_begin(struct tier_copies *c, const char *collection, char name[STAGING_NAME_SIZE], struct error *e)
{
    struct atomicfile file;
    struct staging *staging;
    int r = make_place(c, collection, &staging, e);
    if (r < 0)
        return r;
    int fd = atomicfile_open(staging, &file, e);
    if (fd < 0)
        return fd;
    memcpy(name, file.name, sizeof file.name);
    return fd;
}

void tier_copies_discard(struct tier_copies *c, const char *collection, const char *name)
{
    struct atomicfile file = {0};
    struct staging *staging;
    (void)snprintf(file.name, sizeof file.name, "%s", name);
    if (tier_disk_staging(c->disk, collection, &staging, NULL) == 0)
        atomicfile_drop(staging, &file);
}

static int publish(struct staging *s, int folder, struct atomicfile *file, const char *path, struct error *e)
{
    file->path = path;
    file->replace = fstatat(folder, path, &file->seen, AT_SYMLINK_NOFOLLOW) == 0;
    int r = atomicfile_publish(s, file, 1);
    if (r >= 0)
        r = file->result;
    if (r < 0 && e)
        *e = file->error;
    return r < 0 ? r : 0;
}

/* Tells of the new content, and still of what may be there. */
static int write_note(struct staging *s, int folder, const char *name, const struct image_meta *meta, struct error *e)
{
    char path[NOTE_PATH_SIZE];
    struct copy_content content = {.size = meta->size, .modified_s = meta->mtime_ns / NS_PER_S};
    struct copy_meta note;
    struct atomicfile file = {0};
    struct buf text;
    memcpy(content.sha256, meta->sha256, sizeof content.sha256);
    (void)snprintf(content.etag, sizeof content.etag, "%s", meta->etag ? meta->etag : "");
    if (read_note(folder, name, &note) < 0 || strcmp(note.path, meta->key.path) != 0)
        note.count = 0;
    (void)snprintf(note.path, sizeof note.path, "%s", meta->key.path);
    copy_meta_add(&note, &content);
    note_path(path, name);
    buf_init(&text, COPY_META_MAX_BYTES);
    int r = copy_meta_format(&text, &note);
    if (r < 0)
        r = error_set(e, r, "its note can't be written: %s", strerror(-r));
    else
        r = atomicfile_write(s, &file, text.data, text.len, INT64_MIN, e);
    if (r == 0)
        r = publish(s, folder, &file, path, e);
    buf_release(&text);
    return r;
}

static int set_time(int fd, int64_t checked_us)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, clock_timespec(checked_us * 1000)};
    return futimens(fd, times) < 0 ? -errno : 0;
}

static int write_file(struct staging *s, struct atomicfile *file, const struct image *image, struct error *e)
{
    const struct image_meta *meta = &image->meta;
    if (!file->name[0])
        return image->bytes ? atomicfile_write(s, file, image->bytes, (size_t)meta->size, meta->checked_us * 1000, e)
                            : atomicfile_copy(s, file, image->fd, meta->size, meta->checked_us * 1000, e);
    int r = set_time(image->fd, meta->checked_us);
    return r < 0 ? error_set(e, r, "its time can't be set: %s", strerror(-r)) : 0;
}

int tier_copies_put(struct tier_copies *c, const struct image *image, const char *name, struct filestate *ret_state,
                    struct error *e)
{
    const struct image_meta *meta = &image->meta;
    char path[COPY_NAME_SIZE];
    struct atomicfile file = {0};
    struct staging *staging = NULL;
    int folder;
    int r = name_of(&meta->key, path, e);
    if (r == 0)
        r = make_place(c, meta->key.collection, &staging, e);
    if (r == 0)
        r = tier_disk_root(c->disk, meta->key.collection, TIER_DISK_EXISTING, &folder, e);
    if (r < 0) {
        if (name)
            tier_copies_discard(c, meta->key.collection, name);
        return r;
    }
    if (name)
        (void)snprintf(file.name, sizeof file.name, "%s", name);
    r = write_file(staging, &file, image, e);
    if (r == 0)
        r = write_note(staging, folder, path, meta, e);
    if (r == 0)
        r = publish(staging, folder, &file, path, e);
    atomicfile_drop(staging, &file);
    return r < 0 ? r : tier_copies_state(c, &meta->key, ret_state);
}

int tier_copies_confirm(const struct image *image, struct filestate *ret_state)
{
    struct stat st;
    int r = set_time(image->fd, image->meta.checked_us);
    if (r == 0 && fstat(image->fd, &st) < 0)
        r = -errno;
    if (r == 0)
        *ret_state = filestate_of(&st);
    return r;
}

/* Going */

int tier_copies_drop(struct tier_copies *c, const struct image_key *key)
{
    char name[COPY_NAME_SIZE];
    int folder;
    if (name_of(key, name, NULL) < 0 || open_folder(c, key->collection, &folder) < 0)
        return 0;
    return remove_file(folder, name);
}

static int expire(int folder, const char *name)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {0}};
    return utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) == 0;
}

int tier_copies_expire(struct tier_copies *c, const struct image_key *key)
{
    char name[COPY_NAME_SIZE];
    int folder;
    if (name_of(key, name, NULL) < 0 || open_folder(c, key->collection, &folder) < 0)
        return 0;
    return expire(folder, name);
}

/* A list of what is at `path` in the folder, through a descriptor of its own; NULL: none. */
static DIR *list(int folder, const char *path)
{
    int fd = openat(folder, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

int tier_copies_expire_matching(struct tier_copies *c, const char *collection,
                                int (*meant)(const struct image_key *key, const char *pattern), const char *pattern)
{
    const struct dirent *entry;
    struct copy_meta note;
    int folder, n = 0;
    DIR *notes = open_folder(c, collection, &folder) < 0 ? NULL : list(folder, NOTES);
    while (notes && (entry = readdir(notes)))
        if (copy_name_is(entry->d_name) && read_note(folder, entry->d_name, &note) == 0 &&
            meant(&(struct image_key){collection, note.path}, pattern))
            n += expire(folder, entry->d_name);
    if (notes)
        closedir(notes);
    return n;
}

void tier_copies_drop_note(int folder, const char *name)
{
    char path[NOTE_PATH_SIZE];
    if (!copy_name_is(name))
        return;
    note_path(path, name);
    (void)unlinkat(folder, path, 0);
}

void tier_copies_sweep_notes(int folder)
{
    const struct dirent *entry;
    struct stat note, file;
    DIR *notes = list(folder, NOTES);
    while (notes && (entry = readdir(notes)))
        if (copy_name_is(entry->d_name) && fstatat(dirfd(notes), entry->d_name, &note, AT_SYMLINK_NOFOLLOW) == 0 &&
            note.st_mtim.tv_sec < time(NULL) - DAY_S && fstatat(folder, entry->d_name, &file, AT_SYMLINK_NOFOLLOW) < 0)
            tier_copies_drop_note(folder, entry->d_name);
    if (notes)
        closedir(notes);
}
