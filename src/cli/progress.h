/* Shows how a job gets on: a line that is redrawn on a terminal, a line every few seconds elsewhere, on stderr. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "job/job.h"

struct progress;

/* NULL when it can't be shown; the job runs all the same. */
struct progress *progress_start(struct job *job);
void progress_stop(struct progress *p); /* NULL is allowed */

/* Takes the redrawn line away, so that another line can be printed in its place; it comes back by itself. */
void progress_clear_line(void);

#endif
