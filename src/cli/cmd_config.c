#include <stdio.h>

#include "base/buf.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "config/config_print.h"

static int markdown;

static json_t *settings_json(const struct config *config)
{
    json_t *list = json_array();
    struct config_entry entry;
    for (size_t i = 0; config_entry(config, i, &entry); i++)
        json_array_append_new(list, json_pack("{s:s, s:s?, s:s, s:s?, s:s}", "name", entry.name, "value", entry.value,
                                              "source", entry.source, "default", entry.fallback, "help", entry.help));
    return list;
}

static int run_config(struct cli *cli)
{
    struct buf text;
    if (cli->argc)
        return cli_usage(cli, "takes no arguments");
    if (cli->json) {
        output_json(settings_json(cli->config));
        return CLI_OK;
    }
    buf_init(&text, 1 << 20);
    int r = markdown ? config_print_markdown(&text) : config_print(cli->config, &text);
    if (r == 0)
        fputs(text.data, stdout);
    buf_release(&text);
    return r < 0 ? CLI_FAILED : CLI_OK;
}

static const struct cli_option options[] = {
    {"markdown", CLI_FLAG, &markdown, 0, 0, "print docs/settings.md"},
    {0},
};

const struct command command_config = {
    .name = "config",
    .arguments = "",
    .summary = "Show the effective settings and their sources; secrets are hidden",
    .options = options,
    .lacks = CLI_NO_DRY_RUN | CLI_NO_COLLECTION,
    .run = run_config,
};
