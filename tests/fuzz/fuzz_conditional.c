/* Conditions from anyone, four fields separated by line breaks: no read beyond them, and each answer is one that the
 * method allows. A list that was understood is understood with one more tag at its end, which matches. The whole also
 * as the value of two other lists, of cookies and of codings. */
#include <stdint.h>
#include <stdio.h>

#include "api/session.h"
#include "http/accepts.h"
#include "http/conditional.h"

#define ETAG "\"abc\""

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
    if (!holds)
        abort();
}

static void check_longer_list(const char *list, const struct conditional_current *now)
{
    struct conditional_fields fields = {.if_match = list};
    enum conditional_answer alone = conditional_check(CONDITIONAL_WRITE, &fields, now);
    char *longer = NULL;
    must(asprintf(&longer, "%s," ETAG, list) > 0);
    fields.if_match = longer;
    enum conditional_answer more = conditional_check(CONDITIONAL_WRITE, &fields, now);
    if (alone != CONDITIONAL_MALFORMED && !strchr(list, '*'))
        must(more == CONDITIONAL_PROCEED);
    free(longer);
}

/* Cookie and Accept-Encoding. */
static void check_other_lists(const char *value)
{
    char token[SESSION_TOKEN_SIZE];
    if (session_token(token, value) == 0) {
        must(strlen(token) == SESSION_TOKEN_SIZE - 1);
        must(strstr(value, token) != NULL);
    }
    must(!accepts_coding(value, "gzip") || strchr(value, '*') || strcasestr(value, "gzip"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct conditional_current stored = {ETAG, 784111777}, nothing = {0};
    char *text = strndup((const char *)data, size);
    must(text != NULL);
    check_other_lists(text);
    char *rest = text;
    struct conditional_fields fields = {
        .if_match = strsep(&rest, "\n"),
        .if_none_match = strsep(&rest, "\n"),
        .if_modified_since = strsep(&rest, "\n"),
        .if_unmodified_since = strsep(&rest, "\n"),
    };
    check_longer_list(fields.if_match, &stored);
    for (int i = 0; i < 2; i++) {
        must(conditional_check(CONDITIONAL_READ, &fields, &stored) != CONDITIONAL_MALFORMED);
        must(conditional_check(CONDITIONAL_WRITE, &fields, &stored) != CONDITIONAL_NOT_MODIFIED);
        must(conditional_check(CONDITIONAL_WRITE, &fields, &nothing) != CONDITIONAL_NOT_MODIFIED);
        fields.if_match = NULL; /* so that the other ones are asked, too */
    }
    free(text);
    return 0;
}
