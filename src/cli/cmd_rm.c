#include <stdio.h>

#include "base/printable.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "fs/safepath.h"

static int force;

static void print_moved(const struct cli *cli, const struct image_key *key)
{
    char path[4 * SAFEPATH_MAX + 1];
    if (cli->json)
        output_json(json_pack("{s:s, s:s, s:b}", "collection", key->collection, "original_path", key->path, "dry_run",
                              cli->dry_run));
    else
        printf("%s %s into the trash\n", cli->dry_run ? "would move" : "moved",
               printable(path, sizeof path, key->path));
}

static int run_rm(struct cli *cli)
{
    struct error e;
    int code = CLI_OK;
    if (!cli->argc)
        return cli_usage(cli, "name the images to remove");
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);
    for (int i = 0; i < cli->argc; i++) {
        struct image_key key = {cli_one_collection(cli), cli->argv[i]};
        int r = cli->dry_run ? store_would_delete(store, &key, force ? STORE_DELETE_FORCE : STORE_DELETE_SAFE, &e)
                             : store_delete(store, &key, force ? STORE_DELETE_FORCE : STORE_DELETE_SAFE, &e);
        if (r < 0)
            code = cli_fail_image(&key, &e);
        else
            print_moved(cli, &key);
    }
    return code;
}

static const struct cli_option options[] = {
    {"force", CLI_FLAG, &force, 0, 0, "even if the file was changed since it was stored"},
    {0},
};

const struct command command_rm = {
    .name = "rm",
    .arguments = "PATH...",
    .summary = "Move images into the trash and remove their files",
    .details = "`perdura restore PATH` restores them within PERDURA_TRASH_DAYS.",
    .options = options,
    .run = run_rm,
};
