/* measure FILE COMMAND [ARGUMENT]... : runs COMMAND and writes what it took as one line of JSON into FILE.
 *
 * Why not simply wait4(2) in the Python that runs the benches: the kernel counts the memory of the process that forked,
 * up to exec, into the child's ru_maxrss, so nothing could ever seem smaller than Python. This program is small.
 * Exits as the command did (128 + signal when one ended it); the command ends when we are killed, and we when our
 * parent is. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TOOL "measure"
#include "tool.h"

static double seconds(struct timeval tv)
{
    return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static void run(char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execvp(argv[0], argv);
    fprintf(stderr, "measure: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int main(int argc, char **argv)
{
    struct rusage usage;
    int status;

    if (argc < 3) {
        fputs("usage: measure FILE COMMAND [ARGUMENT]...\n", stderr);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    FILE *out = fopen(argv[1], "we");
    if (!out) {
        fprintf(stderr, "measure: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }

    double start = now();
    pid_t child = fork();
    if (child == 0)
        run(argv + 2);
    if (child < 0 || wait4(child, &status, 0, &usage) != child) {
        perror("measure");
        return 1;
    }
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    fprintf(out, "{\"code\":%d,\"seconds\":%.6f,\"cpu_user\":%.3f,\"cpu_sys\":%.3f,\"maxrss\":%ld}\n", code,
            now() - start, seconds(usage.ru_utime), seconds(usage.ru_stime), usage.ru_maxrss * 1024);
    return fclose(out) == 0 ? code : 1;
}
