/* What the subcommands share: their description, their arguments, the settings, the store, exit codes. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"
#include "image/image.h"
#include "store/store.h"

struct config;

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* or `check` found a difference */
    CLI_USAGE = 2,       /* usage or settings */
    CLI_UNREACHABLE = 3, /* a dependency cannot be reached */
};

enum cli_option_kind { CLI_FLAG, CLI_TEXT, CLI_NUMBER };

struct cli_option {
    const char *name; /* without the dashes; NULL ends a list */
    enum cli_option_kind kind;
    void *value;   /* int *, const char **, long * */
    long min, max; /* CLI_NUMBER */
    const char *help;
};

/* Options that all other commands have. */
enum cli_lacks { CLI_NO_JSON = 1, CLI_NO_DRY_RUN = 2, CLI_NO_COLLECTION = 4 };

struct cli;

struct command {
    const char *name;
    int is_program;                   /* called by its name alone, not as `perdura NAME` */
    const char *arguments;            /* "[PATH...]" */
    const char *summary;              /* one line for the list of commands */
    const char *details;              /* more for its own --help; may be NULL */
    const struct cli_option *options; /* of its own; may be NULL */
    unsigned lacks;                   /* enum cli_lacks, or-ed: refused, and not in its --help */
    int takes_origins;                /* --collection may name one of PERDURA_ORIGINS, too */
    const char *leaves;               /* a name in the environment that is its child's affair; may be NULL */
    int (*run)(struct cli *cli);      /* returns an enum cli_exit, or a child's exit code */
};

struct cli {
    const struct command *command;
    struct config *config;  /* read before the command runs */
    struct store *store;    /* NULL until cli_store */
    int json;               /* --json */
    int dry_run;            /* --dry-run */
    const char *collection; /* --collection, or NULL */
    int argc;               /* what is left: positional arguments */
    char **argv;
};

/* Runs a whole command line, whose first argument is the name of one of these (ended by NULL). Returns the exit code.
 */
int cli_main(const struct command *const commands[], int argc, char **argv);

/* The same for a program that is one command. */
int cli_main_alone(const struct command *command, int argc, char **argv);

/* The store, opened at first use. NULL with a text on failure, which is one of the settings: cli_fail_settings. */
struct store *cli_store(struct cli *cli, struct error *e);

/* Prints "perdura: <text>" and returns CLI_USAGE. */
int cli_fail_settings(const struct error *e);

/* Prints "perdura: <text>" on stderr and returns the exit code that fits the error. */
int cli_fail(const struct error *e);

/* Likewise for an image: "perdura: <path> <text>". */
int cli_fail_image(const struct image_key *key, const struct error *e);

/* Prints how the command is used, after a line that says what was wrong. Returns CLI_USAGE. */
int cli_usage(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The collection named by --collection, or `media`. NULL, after a message, when there is none of that name. */
const char *cli_one_collection(const struct cli *cli);

/* The collections a job shall work on, ended by NULL: the one named by --collection, or all. Freed by the caller. */
const char **cli_collections(const struct cli *cli);

#endif
