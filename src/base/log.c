#include "base/log.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES  8192
#define VALUE_MAX_BYTES 1000

static struct {
    enum log_level least;
    enum log_format format;
} settings = {LOG_INFO, LOG_LOGFMT};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_setup(enum log_level least, enum log_format format)
{
    settings.least = least;
    settings.format = format;
}

/* A value in double quotes; both forms escape alike. What is not UTF-8 becomes U+FFFD. */
static int add_quoted(struct buf *line, const char *text)
{
    size_t left = strnlen(text, VALUE_MAX_BYTES), len;
    int r = buf_addstr(line, "\"");
    for (; left && r == 0; text += len, left -= len) {
        unsigned char c = (unsigned char)*text;
        len = utf8_len(text, left);
        if (!len) {
            len = 1;
            r = buf_addstr(line, "\\ufffd");
        } else if (c == '"' || c == '\\') {
            r = buf_addf(line, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            r = buf_addf(line, "\\u%04x", c);
        } else {
            r = buf_add(line, text, len);
        }
    }
    return r < 0 ? r : buf_addstr(line, "\"");
}

/* Whether logfmt needs no quotes. */
static int is_plain(const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] <= 0x20 || strchr("\"=\\\x7f", text[i]))
            return 0;
    return n > 0 && n <= VALUE_MAX_BYTES && utf8_valid(text, n);
}

static int add_text(struct buf *line, const char *key, const char *text)
{
    int json = settings.format == LOG_JSON;
    int r = json ? buf_addf(line, "%s\"%s\":", line->len > 1 ? "," : "", key)
                 : buf_addf(line, "%s%s=", line->len ? " " : "", key);
    if (r < 0)
        return r;
    return !json && is_plain(text) ? buf_addstr(line, text) : add_quoted(line, text);
}

static int add_number(struct buf *line, const char *key, int64_t number)
{
    return settings.format == LOG_JSON ? buf_addf(line, ",\"%s\":%lld", key, (long long)number)
                                       : buf_addf(line, " %s=%lld", key, (long long)number);
}

void log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
    if (level > settings.least)
        return;
    char now[CLOCK_ISO_SIZE];
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    int r = settings.format == LOG_JSON ? buf_addstr(&line, "{") : 0;
    if (r == 0)
        r = add_text(&line, "time", clock_iso(now, clock_realtime_us()));
    if (r == 0)
        r = add_text(&line, "level", level_names[level]);
    if (r == 0)
        r = add_text(&line, "event", event);
    for (size_t i = 0; i < count && r == 0; i++)
        r = fields[i].text ? add_text(&line, fields[i].key, fields[i].text)
                           : add_number(&line, fields[i].key, fields[i].number);
    if (r == 0)
        r = buf_addstr(&line, settings.format == LOG_JSON ? "}\n" : "\n");
    if (r == 0)
        (void)!write(STDERR_FILENO, line.data, line.len); /* if it fails, there is no one left to tell */
    buf_release(&line);
}
