#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "codec/password.h"

#define LINE_SIZE (PASSWORD_MAX_BYTES + 3) /* with its end, and one more to see that it is too long */

/* Takes the end off a line (NULL: there was none). 0, or an exit code after a message. */
static int check_line(char *line)
{
    if (line)
        line[strcspn(line, "\r\n")] = '\0';
    if (line && *line && strlen(line) <= PASSWORD_MAX_BYTES)
        return 0;
    fprintf(stderr, "perdura: a password has 1 to %d bytes, in one line\n", PASSWORD_MAX_BYTES);
    return CLI_FAILED;
}

/* The next line, unless a signal that ends us comes first. */
static char *read_line(char line[LINE_SIZE], const sigset_t *ends)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = signalfd(-1, ends, SFD_CLOEXEC), .events = POLLIN}};
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    char *got = fds[1].revents ? NULL : fgets(line, LINE_SIZE, stdin);
    if (fds[1].fd >= 0)
        close(fds[1].fd);
    return got;
}

/* Likewise, from a terminal that does not show it. A signal that ends us waits until it is as it was. */
static int ask(const char *question, char line[LINE_SIZE])
{
    struct termios before, hidden;
    sigset_t ends, others;
    if (tcgetattr(STDIN_FILENO, &before) < 0) {
        fprintf(stderr, "perdura: the terminal can't hide the password: %s\n", strerror(errno));
        return CLI_FAILED;
    }
    hidden = before;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGQUIT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &ends, &others);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    fprintf(stderr, "%s", question);
    char *got = read_line(line, &ends);
    fprintf(stderr, "\n");
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    (void)sigprocmask(SIG_SETMASK, &others, NULL); /* it comes now */
    return check_line(got);
}

static int ask_twice(char line[LINE_SIZE])
{
    char again[LINE_SIZE];
    int code = ask("Password: ", line);
    if (code == 0)
        code = ask("The same again: ", again);
    if (code == 0 && strcmp(line, again) != 0) {
        fprintf(stderr, "perdura: these are two passwords\n");
        code = CLI_FAILED;
    }
    explicit_bzero(again, sizeof again);
    return code;
}

static int run_hash_password(struct cli *cli)
{
    char line[LINE_SIZE], hash[PASSWORD_HASH_SIZE];
    if (cli->argc)
        return cli_usage(cli, "takes no arguments: arguments can be seen by others");
    int code = isatty(STDIN_FILENO) ? ask_twice(line) : check_line(fgets(line, sizeof line, stdin));
    int r = code == 0 ? password_hash(hash, line) : 0;
    explicit_bzero(line, sizeof line);
    if (code)
        return code;
    if (r < 0) {
        fprintf(stderr, "perdura: no random numbers, or OpenSSL fails\n");
        return CLI_FAILED;
    }
    if (cli->json)
        output_json(json_pack("{s:s}", "hash", hash));
    else
        printf("%s\n", hash);
    return CLI_OK;
}

const struct command command_hash_password = {
    .name = "hash-password",
    .arguments = "",
    .summary = "Print a password's hash for PERDURA_ADMIN_PASSWORD",
    .details =
        "Asks for the password twice, or reads one line from stdin if that is not a terminal. In a shell or a file of\n"
        "settings, write the hash in 'single quotes', because it contains $.",
    .leaves = "PERDURA_ADMIN_PASSWORD",
    .lacks = CLI_NO_DRY_RUN | CLI_NO_COLLECTION,
    .run = run_hash_password,
};
