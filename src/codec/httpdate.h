/* Points in time as HTTP writes them (RFC 9110 section 5.6.7). */
#ifndef CODEC_HTTPDATE_H
#define CODEC_HTTPDATE_H

#include <stdint.h>

#define HTTPDATE_SIZE 30

/* Reads one of the three forms, to seconds since 1970:
 *     Sun, 06 Nov 1994 08:49:37 GMT    IMF-fixdate, the one in use
 *     Sunday, 06-Nov-94 08:49:37 GMT   RFC 850
 *     Sun Nov  6 08:49:37 1994         asctime
 * The year of the second is the latest with these two digits that is not more than 50 years after now_s. The names are
 * taken in any case, and the day of the week need not be the right one. 0, or -EINVAL (*ret is untouched). */
int httpdate_parse(const char *text, int64_t now_s, int64_t *ret) __attribute__((warn_unused_result));

/* Writes the first form to dst and returns it. Before 1970 and after 9999, which a file's time can be, the nearest
 * date that can be written. */
const char *httpdate_format(char dst[HTTPDATE_SIZE], int64_t seconds);

#endif
