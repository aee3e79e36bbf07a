#include <stdio.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "codec/base64.h"

static int run_version(struct cli *cli)
{
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    if (cli->json)
        output_json(json_pack("{s:s, s:s}", "version", PERDURA_VERSION, "base64", base64_way_name(base64_way())));
    else
        printf("perdura %s (base64: %s)\n", PERDURA_VERSION, base64_way_name(base64_way()));
    return CLI_OK;
}

const struct command command_version = {
    .name = "version",
    .arguments = "",
    .summary = "Print the version",
    .lacks = CLI_NO_DRY_RUN | CLI_NO_COLLECTION,
    .run = run_version,
};
