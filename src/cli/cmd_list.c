#include <stdio.h>
#include <string.h>

#include "api/describe.h"
#include "base/clock.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "fs/safepath.h"

#define PAGE 1000

static const char *prefix = "", *after_path;
static long limit;
static int hottest, trash;

static int next_page(struct cli *cli, const struct image_meta *after, int count, struct store_page **ret,
                     struct error *e)
{
    const char *collection = cli_one_collection(cli);
    const char *const only[] = {collection, NULL};
    if (trash)
        return store_list_trash(cli->store, collection, after, count, ret, e);
    if (hottest)
        return store_list_hottest(cli->store, only, after, count, ret, e);
    return store_list_by_path(cli->store, collection, prefix, 0, after, count, ret, e);
}

static void print_image(const struct image_meta *meta)
{
    char bytes[OUTPUT_SIZE], when[CLOCK_ISO_SIZE], path[4 * SAFEPATH_MAX + 1];
    printf("%10s  %-16s %s  %s\n", output_bytes(bytes, meta->size), meta->mime, clock_iso(when, meta->accessed_us),
           printable(path, sizeof path, meta->key.path));
}

static int print_all(struct cli *cli, json_t *list, struct error *e)
{
    struct image_meta last = {.key.path = after_path}, *after = after_path ? &last : NULL;
    struct store_page *page = NULL;
    long left = limit ? limit : INT64_MAX;
    int count;
    do {
        struct store_page *next;
        int wanted = left < PAGE ? (int)left : PAGE;
        int r = next_page(cli, after, wanted, &next, e);
        store_page_free(page);
        if (r < 0)
            return r;
        page = next;
        count = store_page_count(page);
        for (int i = 0; i < count; i++) {
            store_page_meta(page, i, &last);
            if (list)
                json_array_append_new(list, describe_image(&last));
            else
                print_image(&last);
        }
        after = &last;
        left -= count;
        if (left == 0 || count < wanted)
            break;
    } while (1);
    store_page_free(page);
    return 0;
}

static int run_list(struct cli *cli)
{
    struct error e;
    if (cli->argc > 1)
        return cli_usage(cli, "takes at most one prefix");
    if (hottest && trash)
        return cli_usage(cli, "takes one of --hottest, --trash");
    if (cli->argc && (hottest || trash))
        return cli_usage(cli, "a prefix goes with the order of paths only");
    if (after_path && (hottest || trash))
        return cli_usage(cli, "--after goes with the order of paths only");
    if (cli->argc)
        prefix = cli->argv[0];
    if (!cli_store(cli, &e))
        return cli_fail_settings(&e);
    json_t *list = cli->json ? json_array() : NULL;
    int r = print_all(cli, list, &e);
    if (list)
        output_json(list);
    return r < 0 ? cli_fail(&e) : CLI_OK;
}

static const struct cli_option options[] = {
    {"hottest", CLI_FLAG, &hottest, 0, 0, "most recently used first"},
    {"trash", CLI_FLAG, &trash, 0, 0, "images in the trash, last deleted first"},
    {"limit", CLI_NUMBER, &limit, 1, 1000000000, "at most this many"},
    {"after", CLI_TEXT, &after_path, 0, 0, "start after this path"},
    {0},
};

const struct command command_list = {
    .name = "list",
    .arguments = "[PREFIX]",
    .summary = "List stored images by path",
    .options = options,
    .lacks = CLI_NO_DRY_RUN,
    .run = run_list,
};
