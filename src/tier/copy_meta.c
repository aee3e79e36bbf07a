#include "tier/copy_meta.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/url.h"

#define FIRST_LINE "perdura-copy 1"
#define PATH       "path "
#define CONTENT    "content "

#define MD5_DIGITS  (2 * DIGEST_MD5_LEN)
#define ENDING_MAX  8
#define DIGITS      "0123456789abcdef"
#define AHEAD_MAX_S 60 /* clocks of machines that share a disk differ by a little */

/* Notes */

static int parse_path(struct copy_meta *note, const char *text, size_t n)
{
    char path[3 * SAFEPATH_MAX + 1];
    size_t len;
    if (n >= sizeof path || url_decode_path(path, &len, text, n, NULL) < 0 || safepath_check(path, len, NULL) < 0)
        return -EBADMSG;
    memcpy(note->path, path, len + 1);
    return 0;
}

/* A number that ends with a blank; *at moves behind that. */
static int parse_number(const char **at, int64_t *ret)
{
    char *end;
    errno = 0;
    long long n = strtoll(*at, &end, 10);
    if (errno || end == *at || *end != ' ' || isspace((unsigned char)**at))
        return -EBADMSG;
    *ret = n;
    *at = end + 1;
    return 0;
}

static int parse_content(struct copy_content *ret, const char *text)
{
    const char *at = text + DIGEST_HEX_SIZE; /* behind the digits and a blank */
    struct copy_content c;
    if (strlen(text) < DIGEST_HEX_SIZE || at[-1] != ' ' || digest_from_hex(c.sha256, text, DIGEST_HEX_SIZE - 1) < 0 ||
        parse_number(&at, &c.size) < 0 || c.size < 0 || parse_number(&at, &c.modified_s) < 0 ||
        strlen(at) >= sizeof c.etag)
        return -EBADMSG;
    memcpy(c.etag, at, strlen(at) + 1);
    *ret = c;
    return 0;
}

static int parse_line(struct copy_meta *note, const char *line)
{
    if (strncmp(line, PATH, strlen(PATH)) == 0)
        return parse_path(note, line + strlen(PATH), strlen(line + strlen(PATH)));
    if (strncmp(line, CONTENT, strlen(CONTENT)) != 0 || note->count == COPY_META_CONTENTS)
        return -EBADMSG;
    int r = parse_content(&note->contents[note->count], line + strlen(CONTENT));
    note->count += r == 0;
    return r;
}

int copy_meta_parse(struct copy_meta *ret, const char *text, size_t n)
{
    struct copy_meta note = {0};
    int r = n && text[n - 1] == '\n' && !memchr(text, '\0', n) ? 0 : -EBADMSG;
    char *lines = r == 0 ? strndup(text, n - 1) : NULL, *rest = lines;
    const char *line = strsep(&rest, "\n");
    if (!line || strcmp(line, FIRST_LINE) != 0)
        r = -EBADMSG;
    while (r == 0 && (line = strsep(&rest, "\n")))
        r = parse_line(&note, line);
    free(lines);
    if (r < 0 || !*note.path || !note.count)
        return -EBADMSG;
    *ret = note;
    return 0;
}

int copy_meta_format(struct buf *out, const struct copy_meta *note)
{
    char sha256[DIGEST_HEX_SIZE];
    int r = buf_addstr(out, FIRST_LINE "\n" PATH);
    if (r == 0)
        r = url_encode_path(out, note->path, strlen(note->path));
    if (r == 0)
        r = buf_addstr(out, "\n");
    for (int i = 0; r == 0 && i < note->count; i++) {
        const struct copy_content *c = &note->contents[i];
        digest_hex(sha256, c->sha256);
        r = buf_addf(out, CONTENT "%s %" PRId64 " %" PRId64 " %s\n", sha256, c->size, c->modified_s, c->etag);
    }
    return r;
}

void copy_meta_add(struct copy_meta *note, const struct copy_content *content)
{
    int last = 0;
    while (last < note->count && memcmp(note->contents[last].sha256, content->sha256, sizeof content->sha256) != 0)
        last++;
    if (last == note->count && note->count < COPY_META_CONTENTS)
        note->count++;
    for (int i = last < note->count ? last : note->count - 1; i > 0; i--)
        note->contents[i] = note->contents[i - 1];
    note->contents[0] = *content;
}

const struct copy_content *copy_meta_find(const struct copy_meta *note, const unsigned char sha256[DIGEST_SHA256_LEN])
{
    for (int i = 0; i < note->count; i++)
        if (memcmp(note->contents[i].sha256, sha256, DIGEST_SHA256_LEN) == 0)
            return &note->contents[i];
    return NULL;
}

/* Names */

static size_t ending_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    size_t n = dot ? strlen(dot + 1) : 0;
    if (n < 1 || n > ENDING_MAX)
        return 0;
    for (size_t i = 1; i <= n; i++)
        if (!isascii(dot[i]) || !isalnum((unsigned char)dot[i]))
            return 0;
    return n;
}

int copy_name(char dst[COPY_NAME_SIZE], const char *path)
{
    unsigned char md5[DIGEST_MD5_LEN];
    struct digest d;
    size_t len = strlen(path), ending = ending_of(path);
    int r = digest_start(&d, DIGEST_MD5);
    if (r == 0) {
        r = digest_add(&d, path, len);
        int ended = digest_end(&d, md5);
        r = r < 0 ? r : ended;
    }
    if (r < 0)
        return -EIO;
    digest_hex_bytes(dst, md5, sizeof md5);
    if (ending)
        (void)snprintf(dst + MD5_DIGITS, COPY_NAME_SIZE - MD5_DIGITS, ".%s", path + len - ending);
    return 0;
}

int copy_name_is(const char *name)
{
    size_t n = strspn(name, DIGITS);
    return n == MD5_DIGITS && (!name[n] || (name[n] == '.' && name[n + 1] && ending_of(name) == strlen(name) - n - 1));
}

int copy_is_fresh(int64_t checked_us, int ttl_s, int64_t now_us)
{
    int64_t age_us = now_us - checked_us;
    return age_us < ttl_s * INT64_C(1000000) && age_us > -AHEAD_MAX_S * INT64_C(1000000);
}
