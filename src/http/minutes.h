/* Reads by tier in each of the last minutes: a thread looks at the metrics once a minute, and no request pays for it.
 */
#ifndef HTTP_MINUTES_H
#define HTTP_MINUTES_H

#include <jansson.h>

struct minutes;

#define MINUTES_KEPT 60

int minutes_start(struct minutes **ret) __attribute__((warn_unused_result));
void minutes_stop(struct minutes *m); /* NULL is allowed */

/* A list, the oldest first, of {"at": the minute's begin, "memory", "disk", "redis", "db", "origin": images read there,
 * "missed": asked for and nowhere, "errors": reads that a tier could not answer}. The last one is not over yet. */
json_t *minutes_describe(struct minutes *m);

#endif
