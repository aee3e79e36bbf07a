/* Which addresses belong to the public internet, for fetching what somebody else names: an address inside our own
 * network, of this machine, or of a cloud's metadata service must not be reached through us (server-side request
 * forgery, OWASP). From the registries of IANA (RFC 6890: IPv4 and IPv6 special-purpose addresses). */
#ifndef CLIENT_NET_ADDRESS_H
#define CLIENT_NET_ADDRESS_H

#include <sys/socket.h>

/* NULL when the address may be connected to; else what it is, to stand behind "is": "a private address". IPv6
 * addresses that carry an IPv4 address (mapped, compatible, 6to4, NAT64, Teredo) are all refused: a translator between
 * here and there could lead to the one within. So is any other family. */
const char *net_address_refused(const struct sockaddr *address);

#endif
