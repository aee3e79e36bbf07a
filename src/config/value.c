#include "config/value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <strings.h>

#include "codec/password.h"
#include "config/bytesize.h"
#include "config/conninfo.h"
#include "config/listvalue.h"
#include "config/redis_url.h"
#include "config/s3_settings.h"

#define ACCEPTED_MAX  512
#define SHA256_DIGITS 64
#define FLAGS         "off on false true no yes 0 1" /* off and on take turns */

/* Fails with `why` and what the type accepts. */
static int refuse(const struct value_type *type, struct error *e, const char *why)
{
    struct buf accepted;
    buf_init(&accepted, ACCEPTED_MAX);
    int r = value_accepted(type, &accepted);
    if (r == 0)
        r = error_set(e, -EINVAL, "%s; accepted: %s", why, accepted.data);
    else
        r = error_set(e, r == -ENOMEM ? r : -EINVAL, "%s", why);
    buf_release(&accepted);
    return r;
}

/* Finds a word of `words`, in any case. Returns its index, -1 when it is none of them. */
static int word_index(const char *words, const char *text, size_t len)
{
    for (int i = 0; *words; i++) {
        size_t n = strcspn(words, " ");
        if (n == len && strncasecmp(words, text, n) == 0)
            return i;
        words += n + (words[n] == ' ');
    }
    return -1;
}

static int parse_bool(const struct value_type *type, const char *text, size_t len, int64_t *ret, struct error *e)
{
    int i = word_index(FLAGS, text, len);
    if (i < 0)
        return refuse(type, e, "is neither on nor off");
    *ret = i % 2;
    return 0;
}

static int parse_enum(const struct value_type *type, const char *text, size_t len, int64_t *ret, struct error *e)
{
    int i = word_index(type->words, text, len);
    int flag = i < 0 ? word_index(FLAGS, text, len) : -1; /* where on and off are among the words */
    if (flag >= 0)
        i = flag % 2 ? word_index(type->words, "on", 2) : word_index(type->words, "off", 3);
    if (i < 0)
        return refuse(type, e, "is none of the words");
    *ret = i;
    return 0;
}

static int check_limits(const struct value_type *type, int64_t n, int64_t *ret, struct error *e)
{
    if (n < type->min)
        return refuse(type, e, "is too small");
    if (n > type->max)
        return refuse(type, e, "is too large");
    *ret = n;
    return 0;
}

static int parse_integer(const struct value_type *type, const char *text, size_t len, int64_t *ret, struct error *e)
{
    const char *p = text, *end = text + len;
    bool negative = len && *p == '-';
    int64_t n;
    p += negative || (len && *p == '+');
    if (bytesize_digits(&p, end, &n) < 0 || p != end)
        return refuse(type, e, "is not a number");
    return check_limits(type, negative ? -n : n, ret, e);
}

static int parse_integer_or_off(const struct value_type *type, const char *text, size_t len, int64_t *ret,
                                struct error *e)
{
    if (word_index("off", text, len) < 0)
        return parse_integer(type, text, len, ret, e);
    *ret = 0;
    return 0;
}

static int parse_bytes(const struct value_type *type, const char *text, size_t len, int64_t *ret, struct error *e)
{
    int64_t n;
    if (bytesize_parse(text, len, &n) < 0)
        return refuse(type, e, "is not a size");
    return check_limits(type, n, ret, e);
}

/* "2:00", "02:00": an hour and a minute, and nothing else. */
static int parse_daytime(const struct value_type *type, const char *text, size_t len, int64_t *ret, struct error *e)
{
    const char *p = text, *end = text + len, *minutes;
    int64_t hour, minute;
    if (bytesize_digits(&p, end, &hour) < 0 || p - text > 2 || p == end || *p != ':')
        return refuse(type, e, "is not a time of day");
    minutes = ++p;
    if (bytesize_digits(&p, end, &minute) < 0 || p != end || p - minutes != 2 || hour > 23 || minute > 59)
        return refuse(type, e, "is not a time of day");
    *ret = hour * 60 + minute;
    return 0;
}

bool value_url_path(const char *text, size_t len)
{
    size_t segment = 0; /* where the present segment starts */
    if (len < 2 || text[0] != '/')
        return false;
    for (size_t i = 1; i <= len; i++) {
        if (i < len && text[i] != '/') {
            if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f || strchr("%?#\\\"", text[i]))
                return false;
            continue;
        }
        size_t n = i - segment - 1;
        const char *name = text + segment + 1;
        if (n == 0 || (n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.'))
            return false;
        segment = i;
    }
    return true;
}

/* Of the lists, `text` is read to its NUL: blanks behind it separate nothing. */
static int parse_list(const struct value_type *type, const char *text, char **ret, struct error *e)
{
    const char *what = type->kind == VALUE_TOKENS  ? "is no list of tokens"
                       : type->kind == VALUE_HOSTS ? "is no list of hosts"
                                                   : "is no list of URL paths";
    int r = type->kind == VALUE_TOKENS  ? listvalue_tokens(text, ret)
            : type->kind == VALUE_HOSTS ? listvalue_hosts(text, ret)
                                        : listvalue_url_paths(text, ret);
    if (r == -ENOMEM)
        return error_set(e, r, "is too much for the memory left");
    return r < 0 ? refuse(type, e, what) : 0;
}

static int parse_words(const struct value_type *type, const char *text, int64_t *ret, struct error *e)
{
    if (listvalue_words(type->words, text, ret) < 0)
        return refuse(type, e, "is no list of these words");
    return 0;
}

/* The digits alone, in lower case: 0, or -EINVAL. */
static int shorten_sha256(char *text)
{
    size_t n = 0;
    for (const char *at = text; *at; at++) {
        if (*at == ':')
            continue;
        if (!isxdigit((unsigned char)*at) || n == SHA256_DIGITS)
            return -EINVAL;
        text[n++] = (char)tolower((unsigned char)*at);
    }
    text[n] = '\0';
    return n == SHA256_DIGITS ? 0 : -EINVAL;
}

static int check_text(const struct value_type *type, char *text, struct error *e)
{
    struct redis_url url;
    if (type->kind == VALUE_CONNINFO)
        return conninfo_check(text, e);
    if (type->kind == VALUE_REDIS_URL)
        return redis_url_parse(text, &url, e);
    if (type->kind == VALUE_ENDPOINT && !s3_settings_is_endpoint(text))
        return refuse(type, e, "is no URL of a server");
    if (type->kind == VALUE_BUCKET && !s3_settings_is_bucket(text))
        return refuse(type, e, "is no name of a bucket");
    if (type->kind == VALUE_SHA256 && shorten_sha256(text) < 0)
        return refuse(type, e, "is no SHA-256");
    if (type->kind == VALUE_PASSWORD && strlen(text) > PASSWORD_MAX_BYTES)
        return refuse(type, e, "is too long");
    if (type->kind == VALUE_PASSWORD && password_check_setting(text) < 0)
        return refuse(type, e, "begins like a hash and is none, or one that takes too much memory");
    return 0;
}

static int parse_text(const struct value_type *type, const char *text, size_t len, char **ret, struct error *e)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return refuse(type, e, "holds a control character");

    if (type->kind == VALUE_PATH || type->kind == VALUE_URL_PATH || type->kind == VALUE_ENDPOINT ||
        type->kind == VALUE_BUCKET)
        while (len > 1 && text[len - 1] == '/')
            len--;
    if (type->kind == VALUE_PATH && len >= PATH_MAX)
        return refuse(type, e, "is too long");
    if (type->kind == VALUE_URL_PATH && !value_url_path(text, len))
        return refuse(type, e, "is not a URL path");

    char *copy = strndup(text, len);
    if (!copy)
        return error_set(e, -ENOMEM, "is too much for the memory left");
    int r = check_text(type, copy, e);
    if (r < 0) {
        free(copy);
        return r;
    }
    *ret = copy;
    return 0;
}

bool value_is_text(enum value_kind kind)
{
    return kind == VALUE_TEXT || kind == VALUE_PATH || kind == VALUE_URL_PATH || kind == VALUE_CONNINFO ||
           kind == VALUE_REDIS_URL || kind == VALUE_SHA256 || kind == VALUE_TOKENS || kind == VALUE_URL_PATHS ||
           kind == VALUE_HOSTS || kind == VALUE_ENDPOINT || kind == VALUE_BUCKET || kind == VALUE_PASSWORD;
}

int value_parse(const struct value_type *type, const char *text, struct value *ret, struct error *e)
{
    struct value v = {0};
    size_t len = strnlen(text, VALUE_MAX + 1);
    if (len > VALUE_MAX)
        return refuse(type, e, "is too long");
    if (type->kind != VALUE_TEXT && type->kind != VALUE_PATH) {
        while (len && isspace((unsigned char)text[len - 1]))
            len--;
        while (len && isspace((unsigned char)*text))
            text++, len--;
    }
    if (!len)
        return refuse(type, e, "is empty");

    int r = -EINVAL;
    if (type->kind == VALUE_TOKENS || type->kind == VALUE_URL_PATHS || type->kind == VALUE_HOSTS)
        r = parse_list(type, text, &v.text, e);
    else if (value_is_text(type->kind))
        r = parse_text(type, text, len, &v.text, e);
    else if (type->kind == VALUE_BOOL)
        r = parse_bool(type, text, len, &v.number, e);
    else if (type->kind == VALUE_INTEGER)
        r = parse_integer(type, text, len, &v.number, e);
    else if (type->kind == VALUE_INTEGER_OR_OFF)
        r = parse_integer_or_off(type, text, len, &v.number, e);
    else if (type->kind == VALUE_BYTES)
        r = parse_bytes(type, text, len, &v.number, e);
    else if (type->kind == VALUE_DAYTIME)
        r = parse_daytime(type, text, len, &v.number, e);
    else if (type->kind == VALUE_ENUM)
        r = parse_enum(type, text, len, &v.number, e);
    else if (type->kind == VALUE_WORDS)
        r = parse_words(type, text, &v.number, e);
    if (r == 0)
        *ret = v;
    return r;
}

void value_release(struct value *v)
{
    free(v->text);
    *v = (struct value){0};
}

int value_print(const struct value_type *type, const struct value *v, struct buf *out)
{
    const char *word = type->words;

    switch (type->kind) {
    case VALUE_BOOL:
        return buf_addstr(out, v->number ? "on" : "off");
    case VALUE_INTEGER:
        return buf_addf(out, "%" PRId64, v->number);
    case VALUE_INTEGER_OR_OFF:
        return v->number ? buf_addf(out, "%" PRId64, v->number) : buf_addstr(out, "off");
    case VALUE_BYTES:
        return bytesize_print(v->number, out);
    case VALUE_DAYTIME:
        return buf_addf(out, "%02" PRId64 ":%02" PRId64, v->number / 60, v->number % 60);
    case VALUE_ENUM:
        for (int64_t i = 0; i < v->number; i++)
            word += strcspn(word, " ") + 1;
        return buf_add(out, word, strcspn(word, " "));
    case VALUE_WORDS:
        return listvalue_print_words(type->words, v->number, out);
    case VALUE_TEXT:
    case VALUE_PATH:
    case VALUE_URL_PATH:
    case VALUE_CONNINFO:
    case VALUE_REDIS_URL:
    case VALUE_SHA256:
    case VALUE_TOKENS:
    case VALUE_PASSWORD:
    case VALUE_URL_PATHS:
    case VALUE_HOSTS:
    case VALUE_ENDPOINT:
    case VALUE_BUCKET:
        break;
    }
    return buf_addstr(out, v->text);
}

/* "error, warn, info or debug" */
static int print_words(const char *words, const char *last, struct buf *out)
{
    int r = 0;
    for (const char *sep = ""; r == 0 && *words;) {
        size_t n = strcspn(words, " ");
        r = buf_addf(out, "%s%.*s", sep, (int)n, words);
        words += n + (words[n] == ' ');
        sep = strchr(words, ' ') ? ", " : last;
    }
    return r;
}

int value_accepted(const struct value_type *type, struct buf *out)
{
    int r;
    switch (type->kind) {
    case VALUE_BOOL:
        return buf_addstr(out, "on or off");
    case VALUE_INTEGER:
    case VALUE_INTEGER_OR_OFF:
        return buf_addf(out, "%" PRId64 " to %" PRId64 "%s%s%s", type->min, type->max, *type->unit ? " " : "",
                        type->unit, type->kind == VALUE_INTEGER ? "" : ", or off");
    case VALUE_BYTES:
        r = bytesize_print(type->min, out);
        if (r == 0)
            r = buf_addstr(out, " to ");
        return r < 0 ? r : bytesize_print(type->max, out);
    case VALUE_DAYTIME:
        return buf_addstr(out, "a time from 00:00 to 23:59");
    case VALUE_ENUM:
        return print_words(type->words, " or ", out);
    case VALUE_WORDS:
        r = print_words(type->words, " and ", out);
        return r < 0 ? r : buf_addstr(out, ", separated by commas");
    case VALUE_TOKENS:
        return buf_addstr(out, "tokens of A-Z a-z 0-9 - . _ ~ + / that may end in =, separated by commas");
    case VALUE_PASSWORD:
        return buf_addstr(out, "a password of up to 1,024 bytes, or what perdura hash-password prints");
    case VALUE_URL_PATHS:
        return buf_addstr(out, "URL paths such as /partners, separated by commas");
    case VALUE_HOSTS:
        return buf_addstr(out, "hosts such as res.cloudinary.com or images.example:8443, separated by commas");
    case VALUE_ENDPOINT:
        return buf_addstr(out, "https://host or https://host:port, without a path; http, too");
    case VALUE_BUCKET:
        return buf_addstr(out, "a bucket's name (3 to 63 of a-z 0-9 . -), perhaps with /prefix behind it");
    case VALUE_URL_PATH:
        return buf_addstr(out, "a URL path such as /media");
    case VALUE_CONNINFO:
        return buf_addstr(out, "postgresql://... or host=... dbname=...");
    case VALUE_REDIS_URL:
        return buf_addstr(out, "redis://..., rediss://..., redis+sentinel://..., rediss+sentinel://... or unix:///...");
    case VALUE_SHA256:
        return buf_addstr(out, "64 hexadecimal digits");
    case VALUE_PATH:
        return buf_addstr(out, "the path of a file or folder");
    case VALUE_TEXT:
        break;
    }
    return buf_addstr(out, "text");
}
