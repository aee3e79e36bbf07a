#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "config/config.h"
#include "fs/readfile.h"
#include "fs/safepath.h"

static const char *content_type, *object_id, *variant;

/* Opens the file, which may lie anywhere; whoever names a link means its target. */
static int open_source(const char *file, struct readfile *ret, struct error *e)
{
    char *path = realpath(file, NULL);
    if (!path)
        return error_set(e, -errno, "can't be opened: %s", strerror(errno));

    int r, root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        r = error_set(e, -errno, "can't be opened: %s", strerror(errno));
    } else {
        r = readfile_open(ret, root, path[1] ? path + 1 : ".", SAFEPATH_NO_LINKS, e);
        close(root);
    }
    free(path);
    return r;
}

static int put_small(struct cli *cli, struct image_meta *meta, const struct readfile *file, enum store_written *written,
                     struct error *e)
{
    struct buf bytes;
    struct stat st;
    buf_init(&bytes, (size_t)cli->config->inline_max_bytes + 1);
    int r = readfile_all(file, bytes.max - 1, &bytes, &st, e);
    if (r == 0) {
        meta->size = (int64_t)bytes.len;
        r = cli->dry_run ? store_would_accept(cli->store, meta, bytes.data, written, e)
                         : store_write(cli->store, meta, bytes.data, written, e);
    }
    buf_release(&bytes);
    return r;
}

static int put_file(struct cli *cli, struct image_meta *meta, enum store_written *written, struct error *e)
{
    struct readfile file;
    int r = open_source(cli->argv[0], &file, e);
    if (r < 0)
        return r;
    meta->size = file.st.st_size;
    if (meta->size <= cli->config->inline_max_bytes)
        r = put_small(cli, meta, &file, written, e);
    else
        r = cli->dry_run ? store_would_accept_file(cli->store, meta, file.fd, written, e)
                         : store_write_file(cli->store, meta, file.fd, written, e);
    readfile_close(&file);
    return r;
}

static void print_result(const struct cli *cli, const struct image_meta *meta, enum store_written written,
                         const struct error *disk)
{
    static const char *const words[] = {"created", "replaced", "unchanged"};
    static const char *const would[] = {"would create", "would replace", "unchanged"};
    char sha256[DIGEST_HEX_SIZE], bytes[OUTPUT_SIZE], path[4 * SAFEPATH_MAX + 1];
    digest_hex(sha256, meta->sha256);
    if (cli->json)
        output_json(json_pack("{s:s, s:b, s:s, s:s, s:s, s:I, s:s, s:b}", "result", words[written], "dry_run",
                              cli->dry_run, "collection", meta->key.collection, "original_path", meta->key.path,
                              "content_type_header", meta->mime, "file_size", (json_int_t)meta->size, "sha256", sha256,
                              "on_disk", !cli->dry_run && !disk->code));
    else
        printf("%s %s (%s, %s)\n", cli->dry_run ? would[written] : words[written],
               printable(path, sizeof path, meta->key.path), meta->mime, output_bytes(bytes, meta->size));
    if (!cli->dry_run && disk->code)
        (void)fprintf(stderr, "perdura: %s is stored, but it %s\n", printable(path, sizeof path, meta->key.path),
                      disk->text);
}

static int run_put(struct cli *cli)
{
    struct error e = {0};
    enum store_written written = STORE_CREATED;
    if (cli->argc < 1 || cli->argc > 2)
        return cli_usage(cli, "takes a file, and the path to store it under if that is another one");
    if (!content_type != !object_id || !object_id != !variant)
        return cli_usage(cli, "--content-type, --object-id and --variant go together");
    if (!cli_store(cli, &e))
        return cli_fail_settings(&e);

    const char *slash = strrchr(cli->argv[0], '/');
    struct image_meta meta = {
        .key = {cli_one_collection(cli), cli->argc > 1 ? cli->argv[1]
                                         : slash       ? slash + 1
                                                       : cli->argv[0]},
        .content_type = content_type,
        .object_id = object_id,
        .variant = variant,
        .mtime_ns = clock_realtime_us() * 1000,
    };
    struct image_key source = {meta.key.collection, cli->argv[0]};
    if (cli->argc > 1 && safepath_check(meta.key.path, strlen(meta.key.path), &e) < 0)
        return cli_fail_image(&meta.key, &e);
    if (put_file(cli, &meta, &written, &e) < 0)
        return cli_fail_image(&source, &e);
    print_result(cli, &meta, written, &e);
    return CLI_OK;
}

static const struct cli_option options[] = {
    {"content-type", CLI_TEXT, &content_type, 0, 0, "the model that the image belongs to (loyalty.product)"},
    {"object-id", CLI_TEXT, &object_id, 0, 0, "the object that the image belongs to"},
    {"variant", CLI_TEXT, &variant, 0, 0, "which image of that object (cover)"},
    {0},
};

const struct command command_put = {
    .name = "put",
    .arguments = "FILE [PATH]",
    .summary = "Store one image, and write it to the media folder",
    .options = options,
    .run = run_put,
};
