#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/s3_request.h"

#define SKEW_S 300 /* S3 accepts 15 minutes */

/* What S3 calls an error, what it is here, and the line: "object storage at https://host " goes before it. */
struct s3_known_error {
    const char *name;
    int code;
    const char *line;
};

static const struct s3_known_error known[] = {
    {"InvalidAccessKeyId", -EACCES, "knows no such key: correct AWS_ACCESS_KEY_ID"},
    {"SignatureDoesNotMatch", -EACCES, "refuses the signature: correct AWS_SECRET_ACCESS_KEY"},
    {"InvalidToken", -EACCES, "refuses the token: correct AWS_SESSION_TOKEN"},
    {"ExpiredToken", -EACCES, "says that the credentials have expired: get new ones"},
    {"NoSuchKey", -ENOENT, "has no such object"},
    {"NoSuchUpload", -ENOENT, "has no such upload"},
    {"EntityTooLarge", -EFBIG, "refuses an object of this size"},
    {"BadDigest", -EIO, "got something else than what was sent"},
    {"XAmzContentSHA256Mismatch", -EIO, "got something else than what was sent"},
    {"QuotaExceeded", -ENOSPC, "is full"},
    {"PreconditionFailed", -ESTALE, "has another object there by now"},
};

static int say(const struct s3 *s3, int code, struct error *e, const char *line)
{
    return error_set_sentence(e, code, "object storage at %s %s", s3_endpoint(s3), line);
}

/* A clock that is wrong makes every signature wrong, and not every server says so. */
static int64_t skew_s(const struct fetch_answer *answer)
{
    return answer->date_s < 0 ? 0 : clock_realtime_us() / 1000000 - answer->date_s;
}

static int tell_skew(const struct s3 *s3, int64_t by_s, struct error *e)
{
    if (by_s == 0)
        return say(s3, -EACCES, e, "says that this machine's clock is wrong: set the clock");
    return error_set_sentence(e, -EACCES,
                              "this machine's clock is %lld minutes %s object storage's at %s: set the clock",
                              (llabs(by_s) + 30) / 60, by_s > 0 ? "ahead of" : "behind", s3_endpoint(s3));
}

static int tell_region(const struct s3 *s3, const char *other, struct error *e)
{
    return error_set_sentence(e, -EACCES, "object storage at %s is not in the region %s%s%s: correct AWS_REGION",
                              s3_endpoint(s3), s3_region(s3), *other ? " but in " : "", other);
}

static int tell_bucket(const struct s3 *s3, const struct s3_request *request, struct error *e)
{
    return error_set_sentence(e, -ENXIO, "object storage at %s has no bucket %s: make it, or correct its name",
                              s3_endpoint(s3), request->bucket);
}

static int is_about_region(const struct s3_xml_error *why, const struct fetch_answer *answer)
{
    return strcmp(why->code, "AuthorizationHeaderMalformed") == 0 || strcmp(why->code, "PermanentRedirect") == 0 ||
           strcmp(why->code, "IllegalLocationConstraintException") == 0 || answer->status == 301 ||
           answer->status == 307;
}

/* An answer without XML: to a HEAD, or from something else than S3. */
static int tell_status(const struct s3 *s3, const struct fetch_answer *answer, struct error *e)
{
    int status = answer->status;
    if (status == 404)
        return say(s3, -ENOENT, e, "has no such object");
    if (status == 412)
        return say(s3, -ESTALE, e, "has another object there by now");
    if (status == 401 || status == 403)
        return say(s3, -EACCES, e, "refuses access: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the rights");
    if (status == 429 || status >= 500)
        return error_set_sentence(e, -ENOTCONN, "object storage at %s can't serve now (status %d)", s3_endpoint(s3),
                                  status);
    return error_set_sentence(e, -EBADE,
                              "object storage at %s answers with status %d, as no S3 does: check PERDURA_S3_ENDPOINT",
                              s3_endpoint(s3), status);
}

int s3_tell(const struct s3 *s3, const struct s3_request *request, const struct fetch_answer *answer, struct error *e)
{
    struct s3_xml_error why = {"", "", ""};
    int64_t by_s = skew_s(answer);
    int has_xml = s3_xml_error(answer->detail, answer->detail_len, &why) == 0;
    int refused = answer->status == 401 || answer->status == 403 || answer->status == 400;
    if (strcmp(why.code, "RequestTimeTooSkewed") == 0 || (refused && llabs(by_s) > SKEW_S))
        return tell_skew(s3, by_s, e);
    if (is_about_region(&why, answer))
        return tell_region(s3, *why.region ? why.region : answer->region, e);
    if (!has_xml)
        return tell_status(s3, answer, e);
    if (strcmp(why.code, "NoSuchBucket") == 0)
        return tell_bucket(s3, request, e);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(why.code, known[i].name) == 0)
            return say(s3, known[i].code, e, known[i].line);
    int code = answer->status == 429 || answer->status >= 500 ? -ENOTCONN
               : answer->status == 403                        ? -EACCES
               : answer->status == 404                        ? -ENOENT
                                                              : -EBADE;
    return error_set_sentence(e, code, "object storage at %s: %s: %s", s3_endpoint(s3), why.code, why.message);
}

int s3_tell_broken(const struct s3 *s3, int code, struct error *e)
{
    struct error why = {0};
    if (e)
        why = *e;
    return error_set_sentence(e, code, "object storage at %s: %s", s3_endpoint(s3), why.text);
}
