#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "fs/fdio.h"

static const char *output;

static int write_image(const struct image *image, struct error *e)
{
    int to_stdout = !output || strcmp(output, "-") == 0;
    int fd = to_stdout ? STDOUT_FILENO : open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return error_set(e, -errno, "%s can't be written: %s", output, strerror(errno));
    int r = image->bytes ? fdio_write(fd, image->bytes, (size_t)image->meta.size)
                         : fdio_copy(fd, image->fd, image->meta.size);
    if (!to_stdout && close(fd) < 0 && r == 0)
        r = -errno;
    return r < 0 ? error_set(e, r, "%s can't be written: %s", to_stdout ? "stdout" : output, strerror(-r)) : 0;
}

static int run_get(struct cli *cli)
{
    struct error e;
    struct image *image;
    if (cli->argc != 1)
        return cli_usage(cli, "takes one path");
    if (!output && isatty(STDOUT_FILENO))
        return cli_usage(cli, "an image is not for a terminal: redirect it, or use --output FILE");
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);
    struct image_key key = {cli_one_collection(cli), cli->argv[0]};
    if (store_read(store, &key, &image, NULL, &e) < 0)
        return cli_fail_image(&key, &e);
    int r = write_image(image, &e);
    image_unref(image);
    return r < 0 ? cli_fail(&e) : CLI_OK;
}

static const struct cli_option options[] = {
    {"output", CLI_TEXT, &output, 0, 0, "write to this file instead of stdout"},
    {0},
};

const struct command command_get = {
    .name = "get",
    .arguments = "PATH",
    .summary = "Write one image to stdout",
    .details = "Reads it from disk, or from the database or object storage; in that case the file is restored as well.",
    .options = options,
    .lacks = CLI_NO_JSON | CLI_NO_DRY_RUN,
    .run = run_get,
};
