/* Commands and replies: the one meeting place of ours and hiredis'. */
#include <assert.h>
#include <errno.h>
#include <hiredis/hiredis.h>

#include "client/redis.h"

void redis_client_commands_init(struct redis_client_commands *cmds, size_t max_bytes)
{
    buf_init(&cmds->buf, max_bytes);
    cmds->count = cmds->unhurried = cmds->is_ping = 0;
}

void redis_client_commands_release(struct redis_client_commands *cmds)
{
    buf_release(&cmds->buf);
    cmds->count = cmds->unhurried = 0;
}

int redis_client_add(struct redis_client_commands *cmds, int argc, const char *const *argv, const size_t *lengths)
{
    char *text;
    assert(cmds->count < REDIS_CLIENT_COMMANDS_MAX);
    int n = redisFormatCommandArgv(&text, argc, (const char **)argv, lengths);
    if (n < 0)
        return -ENOMEM;
    int r = buf_add(&cmds->buf, text, (size_t)n);
    redisFreeCommand(text);
    cmds->count += r == 0;
    return r;
}

void redis_client_replies_release(struct redis_client_replies *r)
{
    for (int i = 0; i < r->count; i++)
        freeReplyObject(r->list[i]);
    r->count = 0;
}

enum redis_client_kind redis_client_kind(const void *reply)
{
    switch (((const redisReply *)reply)->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return REDIS_CLIENT_TEXT;
    case REDIS_REPLY_INTEGER:
        return REDIS_CLIENT_INTEGER;
    case REDIS_REPLY_ARRAY:
        return REDIS_CLIENT_LIST;
    case REDIS_REPLY_ERROR:
        return REDIS_CLIENT_ERROR;
    default:
        return REDIS_CLIENT_NIL;
    }
}

const char *redis_client_text(const void *reply, size_t *ret_n)
{
    const redisReply *r = reply;
    enum redis_client_kind kind = redis_client_kind(reply);
    int is_text = kind == REDIS_CLIENT_TEXT || kind == REDIS_CLIENT_ERROR;
    if (ret_n)
        *ret_n = is_text ? (size_t)r->len : 0;
    return is_text ? r->str : NULL;
}

int64_t redis_client_integer(const void *reply)
{
    return redis_client_kind(reply) == REDIS_CLIENT_INTEGER ? ((const redisReply *)reply)->integer : 0;
}

size_t redis_client_length(const void *reply)
{
    return redis_client_kind(reply) == REDIS_CLIENT_LIST ? ((const redisReply *)reply)->elements : 0;
}

const void *redis_client_at(const void *reply, size_t index)
{
    assert(index < redis_client_length(reply));
    return ((const redisReply *)reply)->element[index];
}
