/* Bodies of errors: application/problem+json (RFC 9457). */
#ifndef HTTP_PROBLEM_H
#define HTTP_PROBLEM_H

#include "base/buf.h"

#define PROBLEM_CONTENT_TYPE "application/problem+json"

/* Room that a buffer for problem_body needs at most. */
#define PROBLEM_MAX_BYTES 4096

/* The phrase of a status code ("Not Found"); for one that we do not know, that of its class. Static. */
const char *problem_title(int status);

/* Appends {"type":"about:blank","title":...,"status":...,"detail":...}. The detail says what to do; it may hold bytes
 * from the request, which are shown as base/printable.h does, and is cut at 1,000 bytes. NULL leaves it out. 0,
 * -EMSGSIZE, -ENOMEM. */
int problem_body(struct buf *out, int status, const char *detail) __attribute__((warn_unused_result));

#endif
