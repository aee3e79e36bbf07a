#include <stdio.h>

#include "api/describe.h"
#include "base/clock.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "fs/safepath.h"

static const char *file_state(int matches)
{
    return matches == 1 ? "on disk" : matches == 0 ? "on disk, changed" : "not on disk";
}

static void print_time(const char *label, int64_t us)
{
    char when[CLOCK_ISO_SIZE];
    if (us)
        printf("%-14s %s\n", label, clock_iso(when, us));
}

static void print_text(const struct image_meta *m, int matches)
{
    char path[4 * SAFEPATH_MAX + 1], bytes[OUTPUT_SIZE], sha256[DIGEST_HEX_SIZE];
    digest_hex(sha256, m->sha256);
    printf("path           %s\n", printable(path, sizeof path, m->key.path));
    printf("collection     %s\n", m->key.collection);
    printf("state          %s, %s\n", m->deleted_us ? "in the trash" : "persisted", file_state(matches));
    printf("type           %s\n", m->mime);
    if (m->width)
        printf("pixels         %d x %d\n", m->width, m->height);
    printf("size           %lld (%s)\n", (long long)m->size, output_bytes(bytes, m->size));
    printf("sha256         %s\n", sha256);
    printf("kept           %s\n", m->url ? m->url : "in the row, as base64");
    if (m->content_type)
        printf("belongs to     %s %s %s\n", m->content_type, m->object_id ? m->object_id : "",
               m->variant ? m->variant : "");
    print_time("modified", m->mtime_ns / 1000);
    print_time("created", m->created_us);
    print_time("updated", m->updated_us);
    print_time("last accessed", m->accessed_us);
    printf("accessed       %lld times\n", (long long)m->access_count);
    print_time("deleted", m->deleted_us);
}

static int run_info(struct cli *cli)
{
    struct error e;
    struct store_page *page;
    struct image_meta meta;
    if (cli->argc != 1)
        return cli_usage(cli, "takes one path");
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);
    struct image_key key = {cli_one_collection(cli), cli->argv[0]};
    if (store_info(store, &key, &page, &e) < 0)
        return cli_fail_image(&key, &e);
    store_page_meta(page, 0, &meta);
    int matches = store_file_matches(store, &meta);
    if (cli->json) {
        json_t *image = describe_image(&meta);
        json_object_set_new(image, "state", json_string(meta.deleted_us ? "trash" : "persisted"));
        json_object_set_new(image, "file", json_string(file_state(matches)));
        output_json(image);
    } else {
        print_text(&meta, matches);
    }
    store_page_free(page);
    return CLI_OK;
}

const struct command command_info = {
    .name = "info",
    .arguments = "PATH",
    .summary = "Show everything that is known about one image",
    .lacks = CLI_NO_DRY_RUN,
    .run = run_info,
};
