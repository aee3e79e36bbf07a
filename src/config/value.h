/* The kinds of value a setting can have: how each is read from text and written back.
 *
 * Reading what was written gives the same value. To add a kind: a name here, a reader and a writer in value.c. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* Longest text a value may have, in bytes. */
#define VALUE_MAX 8192

/* Texts are not empty, at most VALUE_MAX bytes and hold no control characters. Of all kinds but TEXT and PATH, blanks
 * and line ends around the value are dropped: `$(cat file)` is a common way to set one. */
enum value_kind {
    VALUE_TEXT,
    VALUE_PATH,           /* of a file or folder, below PATH_MAX; trailing slashes are dropped */
    VALUE_URL_PATH,       /* "/media": see value_url_path */
    VALUE_CONNINFO,       /* libpq's URL or keyword=value form, see conninfo.h */
    VALUE_REDIS_URL,      /* see redis_url.h */
    VALUE_SHA256,         /* 64 hexadecimal digits, colons between them or not, in any case */
    VALUE_BOOL,           /* on true yes 1, off false no 0, in any case */
    VALUE_INTEGER,        /* decimal digits, perhaps after '-' or '+' */
    VALUE_INTEGER_OR_OFF, /* the same, or "off", in any case: 0, which is not within the limits */
    VALUE_BYTES,     /* digits, then perhaps blanks and a unit in any case: B; k K KiB, M MiB, G GiB (powers of 1024);
                      * kB, MB, GB (powers of 1000). No fractions */
    VALUE_DAYTIME,   /* "02:00", as minutes since midnight */
    VALUE_ENUM,      /* one of the words, in any case */
    VALUE_WORDS,     /* a list of some of the words: see listvalue.h for this one and the next two */
    VALUE_TOKENS,    /* a list of Bearer tokens */
    VALUE_PASSWORD,  /* plain, or a hash: see codec/password.h */
    VALUE_URL_PATHS, /* a list of URL_PATH */
    VALUE_HOSTS,     /* a list of hosts, each perhaps with a port: see listvalue.h */
    VALUE_ENDPOINT,  /* "https://host:port", see s3_settings.h; trailing slashes are dropped */
    VALUE_BUCKET     /* "bucket" or "bucket/prefix", see s3_settings.h; trailing slashes are dropped */
};

struct value_type {
    enum value_kind kind;
    int64_t min, max;  /* inclusive, for INTEGER, INTEGER_OR_OFF and BYTES */
    const char *unit;  /* of an INTEGER or INTEGER_OR_OFF, "" when there is none */
    const char *words; /* of an ENUM and of WORDS, separated by single blanks */
};

struct value {
    char *text;     /* all kinds but those of the next line; NULL for these */
    int64_t number; /* BOOL: 0 or 1; INTEGER; INTEGER_OR_OFF: 0 for off; BYTES; DAYTIME; ENUM: index of the word; WORDS:
                       a bit for each */
};

/* Whether values of this kind are in `text`, not in `number`. */
bool value_is_text(enum value_kind kind);

/* Reads `text`. -EINVAL and a phrase that fits behind the value, without repeating it, as in "is not a number;
 * accepted: 2 to 100 connections"; -ENOMEM. */
int value_parse(const struct value_type *type, const char *text, struct value *ret, struct error *e)
    __attribute__((warn_unused_result));

void value_release(struct value *v);

/* Appends the value as one would write it, in one form for each value ("on", "5 MiB"). 0, -EMSGSIZE, -ENOMEM. */
int value_print(const struct value_type *type, const struct value *v, struct buf *out)
    __attribute__((warn_unused_result));

/* Appends what is accepted: "2 to 100 connections", "newest, disk or store". 0, -EMSGSIZE, -ENOMEM. */
int value_accepted(const struct value_type *type, struct buf *out) __attribute__((warn_unused_result));

/* Whether `len` bytes are a URL path below the root: starts with '/', no empty, "." or ".." segment, no blanks,
 * control characters, '%', '?', '#', '\' or '"'. */
bool value_url_path(const char *text, size_t len);

#endif
