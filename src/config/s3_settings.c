#include "config/s3_settings.h"

#include <errno.h>
#include <string.h>

#include "config/listvalue.h"

#define BUCKET_MIN 3
#define BUCKET_MAX 63
#define PREFIX_MAX 512

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

bool s3_settings_is_endpoint(const char *text)
{
    size_t scheme = strncmp(text, "https://", 8) == 0 ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0;
    return scheme && listvalue_is_host(text + scheme, strlen(text + scheme));
}

static bool is_prefix(const char *text)
{
    if (strlen(text) > PREFIX_MAX)
        return false;
    for (;;) {
        size_t n = strcspn(text, "/");
        if (!n || (text[0] == '.' && (n == 1 || (n == 2 && text[1] == '.'))) ||
            strspn(text, LOWER UPPER DIGITS "-._~") < n)
            return false;
        if (!text[n])
            return true;
        text += n + 1;
    }
}

bool s3_settings_is_bucket(const char *text)
{
    size_t n = strcspn(text, "/");
    if (n < BUCKET_MIN || n > BUCKET_MAX || strspn(text, LOWER DIGITS ".-") < n || strchr(".-", text[0]) ||
        strchr(".-", text[n - 1]))
        return false;
    return !text[n] || is_prefix(text + n + 1);
}

const char *s3_settings_missing(const struct config *c)
{
    return !c->s3_endpoint ? "PERDURA_S3_ENDPOINT"
           : !c->s3_key_id ? "AWS_ACCESS_KEY_ID"
           : !c->s3_secret ? "AWS_SECRET_ACCESS_KEY"
                           : NULL;
}

int s3_settings_check(const struct config *c, const struct sources *from, struct error *e)
{
    struct error why;
    const char *missing = s3_settings_missing(c);
    if (!c->large_bucket || !missing)
        return 0;
    error_set(&why, -EINVAL, "needs %s", missing);
    return sources_refuse(from, CONFIG_ID_large_bucket, &why, e);
}
