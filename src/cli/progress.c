#include "cli/progress.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"
#include "cli/output.h"

#define TERMINAL_MS  200
#define ELSEWHERE_MS 5000
#define BAR_CELLS    24

struct progress {
    struct job *job;
    int terminal;
    int64_t started_ms;
    struct thread thread;
};

static atomic_int line_shown;

void progress_clear_line(void)
{
    if (atomic_exchange(&line_shown, 0))
        fprintf(stderr, "\r\033[K");
}

static void draw_bar(int64_t done, int64_t expected)
{
    int filled = (int)(done * BAR_CELLS / expected);
    fprintf(stderr, "[%.*s%*s] %3d%% ", filled, "########################", BAR_CELLS - filled, "",
            (int)(done * 100 / expected));
}

static void draw(struct progress *p)
{
    char count[OUTPUT_SIZE], moved[OUTPUT_SIZE], rate[OUTPUT_SIZE];
    int64_t done = atomic_load(&p->job->done), expected = atomic_load(&p->job->expected);
    int64_t elapsed_ms = clock_monotonic_ms() - p->started_ms;
    if (p->terminal)
        fprintf(stderr, "\r\033[K");
    fprintf(stderr, "%s: ", p->job->kind);
    if (p->terminal && expected > 0)
        draw_bar(done < expected ? done : expected, expected);
    fprintf(stderr, "%s images, %s, %s/s%s", output_number(count, done),
            output_bytes(moved, atomic_load(&p->job->bytes)),
            output_number(rate, elapsed_ms ? done * 1000 / elapsed_ms : 0), p->terminal ? "" : "\n");
    if (p->terminal)
        atomic_store(&line_shown, 1);
    fflush(stderr);
}

static void progress_run(void *arg)
{
    struct progress *p = arg;
    while (thread_wait(&p->thread, clock_monotonic_ms() + (p->terminal ? TERMINAL_MS : ELSEWHERE_MS)))
        draw(p);
}

struct progress *progress_start(struct job *job)
{
    struct progress *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    thread_init(&p->thread, LOCK_progress);
    p->job = job;
    p->terminal = isatty(STDERR_FILENO);
    p->started_ms = clock_monotonic_ms();
    if (thread_start(&p->thread, "progress", progress_run, p) < 0) {
        thread_destroy(&p->thread);
        free(p);
        return NULL;
    }
    return p;
}

void progress_stop(struct progress *p)
{
    if (!p)
        return;
    (void)!thread_stop(&p->thread, THREAD_NEVER);
    progress_clear_line();
    thread_destroy(&p->thread);
    free(p);
}
