/* What libmicrohttpd lets through and we do not: a request that another server might read differently than we do
 * (RFC 9112, sections 2.2, 3.2, 5, 6.1, 6.3 and 11.2, request smuggling). */
#ifndef HTTP_GATE_H
#define HTTP_GATE_H

struct MHD_Connection;

/* To be called at the first call for a request, when nothing of the body has been read. `method` and `version` are
 * libmicrohttpd's own, uri is what its URI log callback was given. 0, or -EBADMSG and why: the connection is to be
 * closed. */
int gate_check(struct MHD_Connection *connection, const char *method, const char *uri, const char *version,
               const char **ret_why) __attribute__((warn_unused_result));

#endif
