/* Settings that are lists: elements separated by commas or blanks, empty ones not counted.
 *
 * Those of text are kept in one form, "a,b", for whoever uses them to take apart with listvalue_next. */
#ifndef CONFIG_LISTVALUE_H
#define CONFIG_LISTVALUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* The next element of the list at *list, *ret_len bytes that no NUL ends; *list moves behind it. NULL behind the last.
 *     for (const char *item; (item = listvalue_next(&list, &len));) */
const char *listvalue_next(const char **list, size_t *ret_len);

/* Reads a list of some of `words` (separated by single blanks; at most 31), in any case, to one bit for each in their
 * order. -EINVAL for any other word and for none at all. */
int listvalue_words(const char *words, const char *list, int64_t *ret_bits) __attribute__((warn_unused_result));

/* Appends the words of these bits. 0, -EMSGSIZE, -ENOMEM. */
int listvalue_print_words(const char *words, int64_t bits, struct buf *out) __attribute__((warn_unused_result));

/* Whether `n` bytes can be a Bearer token: b64token of RFC 6750 section 2.1. */
int listvalue_is_token(const char *text, size_t n);

/* Whether `n` bytes can be a host, perhaps with ":port": a name, an IPv4 address, an IPv6 address in brackets. */
int listvalue_is_host(const char *text, size_t n);

/* Reads a list of tokens, of hosts, or of URL paths (value_url_path; trailing slashes are dropped), to the one form.
 * -EINVAL when one is not that, or there is none; -ENOMEM. */
int listvalue_tokens(const char *list, char **ret) __attribute__((warn_unused_result));
int listvalue_hosts(const char *list, char **ret) __attribute__((warn_unused_result));
int listvalue_url_paths(const char *list, char **ret) __attribute__((warn_unused_result));

#endif
