/* What descendants leave to us, and how it is ended. */
#include "process/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define CHILDREN_MAX 256
#define KILLED_MS    3000 /* for the kernel to clear away what was killed */

static pid_t found_children[CHILDREN_MAX]; /* were there before us: an exec keeps its shell's children */
static int found_children_len;

/* Those that know a signal already: what a child that obeys leaves behind becomes ours and is new. */
struct told {
    pid_t pids[CHILDREN_MAX];
    int len;
};

/* Our children, by their pids. Where the kernel does not list them (CONFIG_PROC_CHILDREN), there are none. */
static int list_children(pid_t list[CHILDREN_MAX])
{
    char name[64], text[CHILDREN_MAX * 8 + 1], *at = text, *end;
    int count = 0;
    snprintf(name, sizeof name, "/proc/self/task/%ld/children", (long)getpid());
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = '\0';
    for (long pid; count < CHILDREN_MAX && (pid = strtol(at, &end, 10)) > 0 && *end == ' '; at = end)
        list[count++] = (pid_t)pid;
    return count;
}

void subprocess_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    found_children_len = list_children(found_children);
}

static int was_found(pid_t pid)
{
    for (int i = 0; i < found_children_len; i++)
        if (found_children[i] == pid)
            return 1;
    return 0;
}

/* Whether it is in there; it is afterwards. */
static int was_told(struct told *told, pid_t pid)
{
    for (int i = 0; i < told->len; i++)
        if (told->pids[i] == pid)
            return 1;
    if (told->len < CHILDREN_MAX)
        told->pids[told->len++] = pid;
    return 0;
}

/* Sends a signal (0: none) to all of them that were not told yet; those that died meanwhile are cleared away. Returns
 * how many are left. */
static int signal_others(int number, struct told *told)
{
    pid_t list[CHILDREN_MAX];
    int left = 0, count = list_children(list);
    for (int i = 0; i < count; i++) {
        if (was_found(list[i]) || waitpid(list[i], NULL, WNOHANG) == list[i])
            continue;
        if (number && !(told && was_told(told, list[i])))
            kill(list[i], number);
        left++;
    }
    return left;
}

/* Sends `number` to each once, then waits. How many are left at the deadline. */
static int others_left(struct stop_signals *s, int number, int64_t deadline_ms)
{
    struct told told = {.len = 0};
    int left;
    while ((left = signal_others(number, &told)) && clock_left_ms(deadline_ms)) {
        int came = stop_signals_wait(s, deadline_ms);
        if (stop_signals_is_stop(came))
            signal_others(came, NULL);
    }
    return left;
}

void subprocess_end_others(struct stop_signals *s, int64_t ask_ms, int64_t kill_ms)
{
    if (!others_left(s, 0, ask_ms) || !others_left(s, SIGTERM, kill_ms))
        return;
    signal_others(SIGKILL, NULL);
    /* What the killed ones leave behind becomes ours, too. */
    for (int64_t until_ms = clock_monotonic_ms() + KILLED_MS; signal_others(SIGKILL, NULL) && clock_left_ms(until_ms);)
        (void)stop_signals_wait(s, until_ms);
}
