/* One event a line, to stderr, in logfmt or JSON. Lower layers never log: they return, and the caller who can act logs.
 *
 *     log_event(LOG_WARN, "database warning", LOG_STR("text", text), LOG_INT("tries", n)); */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field {
    const char *key;
    const char *text; /* NULL: the number counts */
    int64_t number;
};

#define LOG_STR(key, value) ((struct log_field){key, value, 0})
#define LOG_INT(key, value) ((struct log_field){key, 0, value})

/* Before any thread is started. */
void log_setup(enum log_level least, enum log_format format);

/* Writes one line with one write(2), so that lines of several processes do not mix. Values are cut at 1,000 bytes. */
#define log_event(level, event, ...)                                                                                   \
    log_fields(level, event, (const struct log_field[]){__VA_ARGS__},                                                  \
               sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
void log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t count);

#endif
