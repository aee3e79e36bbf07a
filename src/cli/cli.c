#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/printable.h"
#include "config/config.h"
#include "fs/safepath.h"

#define FLAGS_MAX 64

/* What most commands take. */
static const struct {
    const char *name, *left, *help;
    enum cli_lacks lacks;
} common[] = {
    {"collection", "--collection NAME", "only this collection", CLI_NO_COLLECTION},
    {"json", "--json", "print JSON", CLI_NO_JSON},
    {"dry-run", "--dry-run", "change nothing, say what would be done", CLI_NO_DRY_RUN},
};
#define COMMON (sizeof common / sizeof *common)

/* Arguments as they were read, before the settings are loaded from them. */
struct arguments {
    struct config_flag flags[FLAGS_MAX + 1];
    int flags_len;
    const char *config_file;
    int help;
};

static void print_general_help(const struct command *const commands[])
{
    printf("Perdura stores the images that an app writes to a local folder in PostgreSQL, and restores them after a "
           "deploy.\n\nUsage: perdura COMMAND [OPTIONS] [ARGUMENTS]\n\nCommands:\n");
    for (size_t i = 0; commands[i]; i++)
        printf("  %-16s %s\n", commands[i]->name, commands[i]->summary);
    printf("\nSee `perdura COMMAND --help` for each. Settings come from the environment (DATABASE_URL, "
           "PERDURA_MEDIA_ROOT ...),\nfrom --config FILE, or from a flag each (--media-root DIR); `perdura config` "
           "prints them.\n\nExit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 the database or object storage "
           "cannot be reached,\n75 (run, serve) some files could not be stored; each is named in the log.\n");
}

static const char *before_name(const struct command *command)
{
    return command->is_program ? "" : "perdura ";
}

static void print_command_help(FILE *to, const struct command *command)
{
    fprintf(to, "Usage: %s%s [OPTIONS]%s%s\n\n%s\n", before_name(command), command->name,
            *command->arguments ? " " : "", command->arguments, command->summary);
    if (command->details)
        fprintf(to, "\n%s\n", command->details);
    fprintf(to, "\nOptions:\n");
    for (const struct cli_option *o = command->options; o && o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s", o->name,
                 o->kind == CLI_TEXT     ? " TEXT"
                 : o->kind == CLI_NUMBER ? " N"
                                         : "");
        fprintf(to, "  %-20s %s\n", left, o->help);
    }
    for (size_t i = 0; i < COMMON; i++)
        if (!(command->lacks & common[i].lacks))
            fprintf(to, "  %-20s %s\n", common[i].left, common[i].help);
    fprintf(to, "  %-20s %s\n  %-20s %s\n", "--config FILE", "read settings from a file of NAME=value lines",
            "--SETTING VALUE", "any setting, as --media-root for PERDURA_MEDIA_ROOT");
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "%s%s: ", before_name(cli->command), cli->command->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n\n");
    print_command_help(stderr, cli->command);
    return CLI_USAGE;
}

static int exit_code(int code)
{
    return store_unavailable(code) ? CLI_UNREACHABLE : CLI_FAILED;
}

int cli_fail(const struct error *e)
{
    fprintf(stderr, "perdura: %s\n", e->text);
    return exit_code(e->code);
}

int cli_fail_settings(const struct error *e)
{
    fprintf(stderr, "perdura: %s\n", e->text);
    return CLI_USAGE;
}

int cli_fail_image(const struct image_key *key, const struct error *e)
{
    char path[4 * SAFEPATH_MAX + 1];
    printable(path, sizeof path, key->path);
    if (key->collection && strcmp(key->collection, "media") != 0)
        fprintf(stderr, "perdura: %s: %s %s\n", key->collection, path, e->text);
    else
        fprintf(stderr, "perdura: %s %s\n", path, e->text);
    return exit_code(e->code);
}

/* The value of "--name value" or "--name=value"; moves *at to the last argument used. NULL: there is none. */
static const char *option_value(int argc, char **argv, int *at)
{
    const char *equals = strchr(argv[*at], '=');
    if (equals)
        return equals + 1;
    return *at + 1 < argc ? argv[++*at] : NULL;
}

static int set_option(const struct cli *cli, const struct cli_option *o, const char *value)
{
    if (o->kind == CLI_TEXT) {
        *(const char **)o->value = value;
        return 0;
    }
    char *end;
    errno = 0;
    long number = strtol(value, &end, 10);
    if (errno || end == value || *end || number < o->min || number > o->max)
        return cli_usage(cli, "--%s: \"%s\" is not a number from %ld to %ld", o->name, value, o->min, o->max);
    *(long *)o->value = number;
    return 0;
}

static const struct cli_option *find_option(const struct cli_option *o, const char *name)
{
    for (; o && o->name; o++)
        if (strcmp(o->name, name) == 0)
            return o;
    return NULL;
}

static int lacks(const struct command *command, const char *name)
{
    for (size_t i = 0; i < COMMON; i++)
        if (strcmp(name, common[i].name) == 0)
            return (command->lacks & common[i].lacks) != 0;
    return 0;
}

/* One "--name..." argument. 0, or the exit code. */
static int read_option(struct cli *cli, struct arguments *args, int argc, char **argv, int *at)
{
    const struct cli_option shared[] = {
        {"json", CLI_FLAG, &cli->json, 0, 0, NULL},           {"dry-run", CLI_FLAG, &cli->dry_run, 0, 0, NULL},
        {"help", CLI_FLAG, &args->help, 0, 0, NULL},          {"collection", CLI_TEXT, &cli->collection, 0, 0, NULL},
        {"config", CLI_TEXT, &args->config_file, 0, 0, NULL}, {0},
    };
    char name[CONFIG_NAME_SIZE];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argv[*at] + 2, "="), argv[*at] + 2);

    const struct cli_option *o = find_option(cli->command->options, name);
    if (!o && lacks(cli->command, name))
        return cli_usage(cli, "takes no --%s", name);
    if (!o)
        o = find_option(shared, name);
    if (o && o->kind == CLI_FLAG) {
        if (strchr(argv[*at], '='))
            return cli_usage(cli, "--%s takes no value", name);
        *(int *)o->value = 1;
        return 0;
    }
    if (!o && config_find(name) < 0)
        return cli_usage(cli, "unknown option --%s", name);
    const char *value = option_value(argc, argv, at);
    if (!value)
        return cli_usage(cli, "--%s needs a value", name);
    if (o)
        return set_option(cli, o, value);
    if (args->flags_len == FLAGS_MAX)
        return cli_usage(cli, "too many settings on the command line");
    static char names[FLAGS_MAX][CONFIG_NAME_SIZE]; /* the settings keep pointers until they are loaded */
    snprintf(names[args->flags_len], sizeof names[0], "%s", name);
    args->flags[args->flags_len] = (struct config_flag){names[args->flags_len], value};
    args->flags_len++;
    return 0;
}

/* Sorts argv into options and positional arguments (moved to its front). 0, or the exit code. */
static int read_arguments(struct cli *cli, struct arguments *args, int argc, char **argv)
{
    int only_positional = 0;
    cli->argv = argv;
    for (int i = 0; i < argc; i++) {
        if (!only_positional && strcmp(argv[i], "--") == 0) {
            only_positional = 1;
        } else if (!only_positional && strncmp(argv[i], "--", 2) == 0) {
            int r = read_option(cli, args, argc, argv, &i);
            if (r)
                return r;
        } else if (!only_positional && strcmp(argv[i], "-h") == 0) {
            args->help = 1;
        } else if (!only_positional && argv[i][0] == '-' && argv[i][1]) {
            return cli_usage(cli, "unknown option %s (a path that begins with a dash goes behind --)", argv[i]);
        } else {
            argv[cli->argc++] = argv[i];
        }
    }
    return 0;
}

struct store *cli_store(struct cli *cli, struct error *e)
{
    if (!cli->store && store_open(&cli->store, cli->config, e) < 0)
        return NULL;
    return cli->store;
}

const char *cli_one_collection(const struct cli *cli)
{
    const char *name = cli->collection ? cli->collection : "media";
    int is_origin = cli->command->takes_origins && config_image_origin(cli->config, name);
    return is_origin || config_collection(cli->config, name) ? name : NULL;
}

const char **cli_collections(const struct cli *cli)
{
    return config_collection_names(cli->config, cli->collection);
}

static int load_config(struct cli *cli, const struct arguments *args, struct error *e)
{
    const char *leaves = cli->command->leaves;
    size_t count = 0, len = leaves ? strlen(leaves) : 0, n = 0;
    while (environ && environ[count])
        count++;
    char **env = calloc(count + 1, sizeof *env);
    if (!env)
        return error_set(e, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        if (!leaves || strncmp(environ[i], leaves, len) != 0 || environ[i][len] != '=')
            env[n++] = environ[i];
    int r = config_load(cli->config, args->flags, env, args->config_file, e);
    free(env);
    return r;
}

static int run_command(struct cli *cli, const struct arguments *args)
{
    struct error e;
    if (load_config(cli, args, &e) < 0)
        return cli_fail_settings(&e);
    log_setup((enum log_level)cli->config->log_level, (enum log_format)cli->config->log_format);
    for (size_t i = 0; i < cli->config->warnings_len; i++)
        fprintf(stderr, "perdura: warning: %s\n", cli->config->warnings[i]);

    int code;
    if (!cli_one_collection(cli)) {
        fprintf(stderr, "perdura: there is no collection \"%s\"; PERDURA_COLLECTIONS names them%s\n", cli->collection,
                cli->command->takes_origins ? ", and PERDURA_ORIGINS" : "");
        code = CLI_USAGE;
    } else {
        code = cli->command->run(cli);
    }
    store_close(cli->store);
    config_release(cli->config);
    return code;
}

static const struct command *find_command(const struct command *const commands[], const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

int cli_main_alone(const struct command *command, int argc, char **argv)
{
    struct config config = {0};
    struct cli cli = {.command = command, .config = &config};
    struct arguments args = {0};
    int r = read_arguments(&cli, &args, argc - 1, argv + 1);
    if (r)
        return r;
    if (args.help) {
        print_command_help(stdout, command);
        return CLI_OK;
    }
    int code = run_command(&cli, &args);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_OK) {
        fprintf(stderr, "perdura: stdout can't be written: %s\n", strerror(errno));
        code = CLI_FAILED;
    }
    return code;
}

int cli_main(const struct command *const commands[], int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_general_help(commands);
        return argc < 2 ? CLI_USAGE : CLI_OK;
    }
    const struct command *command = find_command(commands, strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);
    if (!command) {
        fprintf(stderr, "perdura: there is no command \"%s\"; `perdura help` lists them\n", argv[1]);
        return CLI_USAGE;
    }
    return cli_main_alone(command, argc - 1, argv + 1);
}
