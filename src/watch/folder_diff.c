#include "watch/folder_diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/db.h"
#include "store/folders.h"

#define BATCH 1000

struct folder_diff {
    const struct folder_diff_options *options;
    folder_diff_fn *fn;
    void *arg;
    struct error *e;
    int count; /* files whose rows are not looked up yet */
    struct walk_entry entries[BATCH];
    const char *paths[BATCH]; /* owned */
    int rows[BATCH];
};

static void forget(struct folder_diff *s)
{
    for (int i = 0; i < s->count; i++)
        free((char *)s->paths[i]);
    s->count = 0;
}

/* Files `first` to `end`. A path that the database's encoding can't hold fails the whole question: halving finds it,
 * and it counts as not stored. */
static int look_up_part(struct folder_diff *s, int first, int end)
{
    const struct folder_diff_options *o = s->options;
    struct store_page *page = NULL;
    struct error why = {0};
    int64_t deadline_ms = 0;
    int r;
    do
        r = store_lookup(o->store, o->collection, s->paths + first, end - first, o->lock_ms, s->rows + first, &page,
                         &why);
    while (db_ask_again(store_pool(o->store), r, o->patience_ms, o->stopped, &deadline_ms));
    if (r == -EILSEQ && end - first > 1) {
        int middle = first + (end - first) / 2;
        r = look_up_part(s, first, middle);
        return r < 0 ? r : look_up_part(s, middle, end);
    }
    if (r == -EILSEQ)
        s->rows[first] = -1;
    else if (r < 0)
        return error_set(s->e, r, "%s", why.text);

    r = 0;
    for (int i = first; i < end && r == 0; i++) {
        struct image_meta row;
        if (s->rows[i] >= 0)
            store_page_meta(page, s->rows[i], &row);
        r = s->fn(s->arg, &s->entries[i], s->rows[i] >= 0 ? &row : NULL);
    }
    store_page_free(page);
    return r;
}

static int look_up(struct folder_diff *s)
{
    int r = s->count ? look_up_part(s, 0, s->count) : 0;
    if (r == 0)
        forget(s);
    return r;
}

static int visit(void *arg, const struct walk_entry *entry)
{
    struct folder_diff *s = arg;
    if (s->options->stopped && atomic_load(s->options->stopped))
        return -ECANCELED;
    if (entry->kind != WALK_FILE && entry->kind != WALK_LINKED_FILE)
        return s->fn(s->arg, entry, NULL);

    char *path = strdup(entry->path);
    if (!path)
        return error_set(s->e, -ENOMEM, "out of memory");
    s->entries[s->count] =
        (struct walk_entry){.kind = entry->kind, .path = path, .path_len = entry->path_len, .st = entry->st};
    s->paths[s->count++] = path;
    return s->count == BATCH ? look_up(s) : 0;
}

int folder_diff(const struct folder_diff_options *options, folder_diff_fn *fn, void *arg, struct error *e)
{
    int root;
    int r = store_folder(options->store, options->collection, STORE_FOLDER_EXISTING, &root, e);
    if (r < 0)
        return r;
    struct folder_diff *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, -ENOMEM, "out of memory");
    s->options = options;
    s->fn = fn;
    s->arg = arg;
    s->e = e;
    r = walk_tree(root, visit, s, e);
    if (r == 0)
        r = look_up(s);
    forget(s);
    free(s);
    return r;
}
