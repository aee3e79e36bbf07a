#include "base/log.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

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

/* A value in double quotes; both forms escape alike. */
static int add_quoted(struct buf *line, const char *text)
{
    int r = buf_addstr(line, "\"");
    for (size_t i = 0; text[i] && i < VALUE_MAX_BYTES && r == 0; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            r = buf_addf(line, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            r = buf_addf(line, "\\u%04x", c);
        else
            r = buf_add(line, &text[i], 1);
    }
    return r < 0 ? r : buf_addstr(line, "\"");
}

static int add_text(struct buf *line, const char *key, const char *text)
{
    int json = settings.format == LOG_JSON;
    int r = json ? buf_addf(line, "%s\"%s\":", line->len > 1 ? "," : "", key)
                 : buf_addf(line, "%s%s=", line->len ? " " : "", key);
    if (r < 0)
        return r;
    int bare = !json && *text && strcspn(text, " \"=\\\n\r\t\x7f") == strlen(text);
    return bare && strlen(text) < VALUE_MAX_BYTES ? buf_addstr(line, text) : add_quoted(line, text);
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
        r = write(STDERR_FILENO, line.data, line.len) < 0; /* there is no one left to tell */
    buf_release(&line);
}
