#include "http/conditional.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "codec/httpdate.h"

#define BLANKS " \t"

enum comparison { WEAK, STRONG }; /* section 8.8.3.2 */
enum match { MATCHES, DIFFERS, MALFORMED };

/* The length of the entity tag at p from its opening quote to its closing one, 0 when there is none. */
static size_t tag_len(const char *p)
{
    size_t n = 1;
    if (*p != '"')
        return 0;
    while ((unsigned char)p[n] > ' ' && p[n] != 0x7f && p[n] != '"')
        n++;
    return p[n] == '"' ? n + 1 : 0;
}

/* Reads "*" or a list of tags to its end, so that a list which is malformed anywhere is known as such. */
static enum match match_tags(const char *p, const char *etag, enum comparison how)
{
    enum match found = DIFFERS;
    p += strspn(p, BLANKS);
    if (*p == '*')
        return p[1 + strspn(p + 1, BLANKS)] ? MALFORMED : etag ? MATCHES : DIFFERS;

    for (int count = 0;; count++) {
        p += strspn(p, BLANKS ",");
        if (!*p)
            return count ? found : MALFORMED;
        int weak = p[0] == 'W' && p[1] == '/';
        p += weak ? 2 : 0;
        size_t n = tag_len(p);
        if (!n)
            return MALFORMED;
        if (etag && strlen(etag) == n && memcmp(p, etag, n) == 0 && !(weak && how == STRONG))
            found = MATCHES;
        p += n;
        p += strspn(p, BLANKS);
        if (*p && *p != ',')
            return MALFORMED;
    }
}

/* Whether what is stored was modified after the date in a field. -1 when nothing is stored or it is no date. */
static int modified_since(const char *value, const struct conditional_current *now)
{
    int64_t date;
    if (!now->etag || httpdate_parse(value, clock_realtime_us() / 1000000, &date) < 0)
        return -1;
    return now->modified_s > date;
}

/* If-Match and If-Unmodified-Since: for those who want to change what they have seen. */
static enum conditional_answer check_same(enum conditional_method method, const struct conditional_fields *fields,
                                          const struct conditional_current *now)
{
    if (fields->if_match) {
        enum match m = match_tags(fields->if_match, now->etag, STRONG);
        if (m == MALFORMED && method == CONDITIONAL_WRITE)
            return CONDITIONAL_MALFORMED;
        return m == MATCHES ? CONDITIONAL_PROCEED : CONDITIONAL_FAILED;
    }
    if (fields->if_unmodified_since && modified_since(fields->if_unmodified_since, now) > 0)
        return CONDITIONAL_FAILED;
    return CONDITIONAL_PROCEED;
}

/* If-None-Match and If-Modified-Since: for those who have a copy, or want to be the first. */
static enum conditional_answer check_other(enum conditional_method method, const struct conditional_fields *fields,
                                           const struct conditional_current *now)
{
    if (fields->if_none_match) {
        enum match m = match_tags(fields->if_none_match, now->etag, WEAK);
        if (m == MALFORMED && method == CONDITIONAL_WRITE)
            return CONDITIONAL_MALFORMED;
        if (m != MATCHES)
            return CONDITIONAL_PROCEED;
        return method == CONDITIONAL_READ ? CONDITIONAL_NOT_MODIFIED : CONDITIONAL_FAILED;
    }
    if (method == CONDITIONAL_READ && fields->if_modified_since && modified_since(fields->if_modified_since, now) == 0)
        return CONDITIONAL_NOT_MODIFIED;
    return CONDITIONAL_PROCEED;
}

enum conditional_answer conditional_check(enum conditional_method method, const struct conditional_fields *fields,
                                          const struct conditional_current *now)
{
    enum conditional_answer answer = check_same(method, fields, now);
    return answer == CONDITIONAL_PROCEED ? check_other(method, fields, now) : answer;
}

const char *conditional_etag(char dst[CONDITIONAL_ETAG_SIZE], const unsigned char sha256[DIGEST_SHA256_LEN])
{
    dst[0] = '"';
    digest_hex(dst + 1, sha256);
    dst[DIGEST_HEX_SIZE] = '"';
    dst[DIGEST_HEX_SIZE + 1] = '\0';
    return dst;
}
