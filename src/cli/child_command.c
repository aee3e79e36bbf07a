#include "cli/child_command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_EXECUTABLE 126
#define NOT_FOUND      127

int child_command_find(struct child_command *c, const struct cli *cli)
{
    *c = (struct child_command){.session = SUBPROCESS_OUR_SESSION};
    if (cli->argc == 0)
        return 0;
    int r = subprocess_find(cli->argv[0], c->program);
    if (r < 0) {
        fprintf(stderr, "perdura: %s can't be run: %s\n", cli->argv[0], strerror(-r));
        return r == -ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
    }
    c->argv = calloc((size_t)cli->argc + 1, sizeof *c->argv);
    if (!c->argv) {
        fprintf(stderr, "perdura: out of memory\n");
        return CLI_FAILED;
    }
    memcpy(c->argv, cli->argv, (size_t)cli->argc * sizeof *c->argv);
    return 0;
}

int child_command_start(struct child_command *c, const struct stop_signals *signals, pid_t *ret)
{
    struct error e;
    const struct subprocess command = {.path = c->program,
                                       .argv = c->argv,
                                       .output = -1,
                                       .held = -1,
                                       .session = c->session,
                                       .death_signal = SIGTERM,
                                       .signals = signals};
    if (subprocess_start(&command, ret, &e) == 0)
        return 0;
    cli_fail(&e);
    return NOT_EXECUTABLE;
}

void child_command_release(struct child_command *c)
{
    free(c->argv);
    c->argv = NULL;
}
