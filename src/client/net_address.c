#include "client/net_address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct range4 {
    uint32_t net; /* in the order of this machine */
    int bits;
    const char *what;
};

static const struct range4 ranges4[] = {
    {0x00000000, 8, "an address of this network"},      /* RFC 1122 section 3.2.1.3; connects to this machine */
    {0x0A000000, 8, "a private address"},               /* RFC 1918 */
    {0x64400000, 10, "a provider's shared address"},    /* RFC 6598 */
    {0x7F000000, 8, "an address of this machine"},      /* RFC 1122 */
    {0xA9FE0000, 16, "a link-local address"},           /* RFC 3927; clouds' metadata services */
    {0xAC100000, 12, "a private address"},              /* RFC 1918 */
    {0xC0000000, 24, "a reserved address"},             /* RFC 6890 */
    {0xC0000200, 24, "an address for documentation"},   /* RFC 5737 */
    {0xC01FC400, 24, "a reserved address"},             /* RFC 7535, AS112 */
    {0xC034C100, 24, "a reserved address"},             /* RFC 7450, AMT */
    {0xC0586300, 24, "a relay's address"},              /* RFC 7526, 6to4 */
    {0xC0A80000, 16, "a private address"},              /* RFC 1918 */
    {0xC0AF3000, 24, "a reserved address"},             /* RFC 7534, AS112 */
    {0xC6120000, 15, "an address for measurements"},    /* RFC 2544 */
    {0xC6336400, 24, "an address for documentation"},   /* RFC 5737 */
    {0xCB007100, 24, "an address for documentation"},   /* RFC 5737 */
    {0xE0000000, 4, "a multicast address"},             /* RFC 5771 */
    {0xF0000000, 4, "a reserved or broadcast address"}, /* RFC 1112, RFC 919 */
};

struct range6 {
    unsigned char net[16];
    int bits;
    const char *what;
};

/* Within 2000::/3; of all else only what has a better name than "not a public address". */
static const struct range6 ranges6[] = {
    {{0x20, 0x01}, 23, "a reserved address"}, /* RFC 2928; holds Teredo, ORCHID, benchmarks, AMT */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "an address for documentation"}, /* RFC 3849 */
    {{0x20, 0x02}, 16, "an IPv4 address in IPv6 (6to4)"},           /* RFC 3056 */
    {{0x26, 0x20, 0, 0x4f, 0x80}, 48, "a reserved address"},        /* RFC 7534, AS112 */
    {{0x3f, 0xff}, 20, "an address for documentation"},             /* RFC 9637 */
    {{[15] = 1}, 128, "an address of this machine"},                /* ::1 */
    {{0}, 128, "an address of this machine"},                       /* :: connects to this machine */
    {{[10] = 0xff, 0xff}, 96, "an IPv4 address in IPv6"},           /* ::ffff:0:0/96, RFC 4291 section 2.5.5.2 */
    {{0}, 96, "an IPv4 address in IPv6"},                           /* RFC 4291 section 2.5.5.1 */
    {{0, 0x64, 0xff, 0x9b}, 32, "an IPv4 address in IPv6 (NAT64)"}, /* RFC 6052, RFC 8215 */
    {{0xfc}, 7, "a private address"},                               /* RFC 4193 */
    {{0xfe, 0x80}, 10, "a link-local address"},                     /* RFC 4291 */
    {{0xfe, 0xc0}, 10, "a private address"},                        /* RFC 3879, site-local */
    {{0xff}, 8, "a multicast address"},                             /* RFC 4291 */
};

static int is_within(const unsigned char *address, const unsigned char *net, int bits)
{
    int whole = bits / 8, rest = bits % 8;
    if (memcmp(address, net, (size_t)whole) != 0)
        return 0;
    return !rest || (address[whole] ^ net[whole]) >> (8 - rest) == 0;
}

static const char *refused4(uint32_t address)
{
    for (size_t i = 0; i < sizeof ranges4 / sizeof *ranges4; i++)
        if ((address ^ ranges4[i].net) >> (32 - ranges4[i].bits) == 0)
            return ranges4[i].what;
    return NULL;
}

static const char *refused6(const unsigned char *address)
{
    for (size_t i = 0; i < sizeof ranges6 / sizeof *ranges6; i++)
        if (is_within(address, ranges6[i].net, ranges6[i].bits))
            return ranges6[i].what;
    /* Global unicast addresses that are in use: RFC 4291 section 2.4, IANA's registry. */
    return address[0] >> 5 == 1 ? NULL : "no public address";
}

const char *net_address_refused(const struct sockaddr *address)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    switch (address->sa_family) {
    case AF_INET:
        memcpy(&in, address, sizeof in);
        return refused4(ntohl(in.sin_addr.s_addr));
    case AF_INET6:
        memcpy(&in6, address, sizeof in6);
        return refused6(in6.sin6_addr.s6_addr);
    default:
        return "no internet address";
    }
}
