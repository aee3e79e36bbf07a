#include "api/login_limit.h"

#include <string.h>

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

/* An IPv4 address behind what begins no client's address (multicast, RFC 4291 section 2.7), or an IPv6 network. */
static void make_key(unsigned char ret[LOGIN_LIMIT_KEY_SIZE], const unsigned char address[16])
{
    int is_ipv4 = memcmp(address, mapped, sizeof mapped) == 0;
    memset(ret, 0xff, LOGIN_LIMIT_KEY_SIZE);
    if (is_ipv4)
        memcpy(ret + 4, address + 12, 4);
    else
        memcpy(ret, address, LOGIN_LIMIT_KEY_SIZE);
}

int64_t login_limit_wait_ms(const struct login_limit *limit, const unsigned char address[16], int64_t now_ms)
{
    unsigned char key[LOGIN_LIMIT_KEY_SIZE];
    int64_t oldest_ms = INT64_MAX, oldest_of_all_ms = INT64_MAX;
    int count = 0, count_of_all = 0;
    make_key(key, address);
    for (int i = 0; i < LOGIN_LIMIT_ALL; i++) {
        const struct login_failure *f = &limit->failures[i];
        if (!f->at_ms || now_ms - f->at_ms >= LOGIN_LIMIT_MS)
            continue;
        count_of_all++;
        oldest_of_all_ms = f->at_ms < oldest_of_all_ms ? f->at_ms : oldest_of_all_ms;
        if (memcmp(f->client, key, sizeof key) != 0)
            continue;
        count++;
        oldest_ms = f->at_ms < oldest_ms ? f->at_ms : oldest_ms;
    }
    if (count >= LOGIN_LIMIT_CLIENT)
        return oldest_ms + LOGIN_LIMIT_MS - now_ms;
    return count_of_all >= LOGIN_LIMIT_ALL ? oldest_of_all_ms + LOGIN_LIMIT_MS - now_ms : 0;
}

void login_limit_failed(struct login_limit *limit, const unsigned char address[16], int64_t now_ms)
{
    struct login_failure *f = &limit->failures[limit->next];
    limit->next = (limit->next + 1) % LOGIN_LIMIT_ALL;
    f->at_ms = now_ms;
    make_key(f->client, address);
}
