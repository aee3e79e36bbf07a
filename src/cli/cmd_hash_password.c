#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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

static volatile sig_atomic_t stopped_by;

static void note_signal(int number)
{
    stopped_by = number;
}

/* Likewise, from a terminal that does not show it. Who stops us there gets it back as it was. */
static int ask(const char *question, char line[LINE_SIZE])
{
    static const int ends[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    const struct sigaction note = {.sa_handler = note_signal};
    struct sigaction others[sizeof ends / sizeof *ends];
    struct termios before, hidden;
    if (tcgetattr(STDIN_FILENO, &before) < 0) {
        fprintf(stderr, "perdura: the terminal can't hide the password: %s\n", strerror(errno));
        return CLI_FAILED;
    }
    hidden = before;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        (void)sigaction(ends[i], &note, &others[i]);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    fprintf(stderr, "%s", question);
    char *got = fgets(line, LINE_SIZE, stdin);
    fprintf(stderr, "\n");
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        (void)sigaction(ends[i], &others[i], NULL);
    if (stopped_by)
        (void)raise(stopped_by);
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

static int run(struct cli *cli)
{
    char line[LINE_SIZE], hash[PASSWORD_HASH_SIZE];
    if (cli->argc || cli->dry_run || cli->collection)
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
    .summary = "Print a password's hash, for PERDURA_ADMIN_PASSWORD",
    .details =
        "Asks for the password twice, or reads it from stdin, one line, where that is no terminal. In a shell or a\n"
        "file of settings the hash stands in 'single quotes': it holds $.",
    .leaves = "PERDURA_ADMIN_PASSWORD",
    .run = run,
};
