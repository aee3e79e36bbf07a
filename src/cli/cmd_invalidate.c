#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "fs/safepath.h"

static const char *entity, *pattern;
static int all;

/* Of TYPE/ID/VARIANT, each of which stands for itself; where the last ones are missing: any. 0 when it is none. */
static int pattern_of_entity(char ret[STORE_PATTERN_SIZE], const char *name)
{
    char *own = strdup(name), *rest = own;
    if (!own)
        return 0;
    const char *type = strsep(&rest, "/");
    const char *object = strsep(&rest, "/");
    const char *variant = rest;
    int r = !*type || (variant && strchr(variant, '/'))
                ? -EINVAL
                : store_pattern_of_entity(ret, type, object && *object ? object : NULL,
                                          variant && *variant ? variant : NULL);
    free(own);
    return r == 0;
}

static int tell(const struct cli *cli, struct store *store, const char *what)
{
    struct error e;
    if (!cli->dry_run && store_invalidate(store, what, &e) < 0)
        return cli_fail(&e);
    if (cli->json)
        output_json(json_pack("{s:s, s:b}", "pattern", what, "dry_run", cli->dry_run));
    else
        printf("%s every instance to forget %s\n", cli->dry_run ? "would tell" : "told", what);
    return CLI_OK;
}

static int tell_paths(struct cli *cli, struct store *store)
{
    char name[STORE_PATTERN_SIZE];
    struct error e;
    int code = CLI_OK;
    const char *collection = cli_one_collection(cli);
    for (int i = 0; i < cli->argc; i++) {
        struct image_key key = {collection, cli->argv[i]};
        int r = safepath_check(key.path, strlen(key.path), &e);
        if (r < 0) {
            code = cli_fail_image(&key, &e);
            continue;
        }
        store_pattern_of(name, &key);
        r = tell(cli, store, name);
        code = r ? r : code;
    }
    return code;
}

static int run_invalidate(struct cli *cli)
{
    char name[STORE_PATTERN_SIZE];
    struct error e;
    if ((cli->argc > 0) + (entity != NULL) + (pattern != NULL) + all != 1)
        return cli_usage(cli, "name what is to be forgotten: paths, --entity, --pattern or --all");
    if (entity && !pattern_of_entity(name, entity))
        return cli_usage(cli, "--entity takes TYPE/ID/VARIANT");
    if (pattern && (!*pattern || strlen(pattern) >= sizeof name))
        return cli_usage(cli, "--pattern takes 1 to %zu bytes", sizeof name - 1);
    struct store *store = cli_store(cli, &e);
    if (!store)
        return cli_fail_settings(&e);
    if (cli->argc)
        return tell_paths(cli, store);
    return tell(cli, store, all ? "*" : pattern ? pattern : name);
}

static const struct cli_option options[] = {
    {"entity", CLI_TEXT, &entity, 0, 0,
     "the images of just this TYPE/ID/VARIANT; of any variant without the last part"},
    {"pattern", CLI_TEXT, &pattern, 0, 0, "names that match, such as image:artist:42:*"},
    {"all", CLI_FLAG, &all, 0, 0, "everything"},
    {0},
};

const struct command command_invalidate = {
    .name = "invalidate",
    .arguments = "[PATH...]",
    .summary = "Drop cached copies on all instances",
    .details = "Files and stored images are not changed.",
    .options = options,
    .takes_origins = 1,
    .run = run_invalidate,
};
