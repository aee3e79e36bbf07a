/* COMMAND behind `--`, for the subcommands that run another program. */
#ifndef CLI_CHILD_COMMAND_H
#define CLI_CHILD_COMMAND_H

#include <limits.h>

#include "cli/cli.h"
#include "process/subprocess.h"

struct child_command {
    char **argv; /* NULL: there is none */
    char program[PATH_MAX];
    enum subprocess_session session;
};

/* Takes it from the positional arguments and looks for its program, before anything is started for it. 0, or an exit
 * code (126, 127 as shells have it) after a message. */
int child_command_find(struct child_command *c, const struct cli *cli);

/* Starts it: with our environment and descriptors, and signals as we found them. It gets SIGTERM if we are killed. 0,
 * or an exit code after a message. */
int child_command_start(struct child_command *c, const struct stop_signals *signals, pid_t *ret);

void child_command_release(struct child_command *c);

#endif
