/* Answers as libmicrohttpd sends them. */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include "http/transaction.h"

struct MHD_Connection;
struct MHD_Response;

/* Of the responses that are kept, which the calling thread uses: for http_transaction. */
unsigned response_lane(void);

/* Adds the answer's headers, and, where the connection is to end behind it, the one that says so. */
void response_add_headers(struct MHD_Response *response, const struct http_answer *a);

/* What is sent for the answer, headers included: what was kept, or something new, made of the text (taken over) or the
 * image. NULL when out of memory or descriptors. */
struct MHD_Response *response_begin(struct http_transaction *x);

/* Hands it to libmicrohttpd, to be sent as the answer of the connection's request. 0 or -EIO. */
int response_queue(struct MHD_Connection *connection, int status, struct MHD_Response *response)
    __attribute__((warn_unused_result));

/* It is under way. Now it is kept with the image, if that is wanted, or given back. */
void response_end(struct http_transaction *x, struct MHD_Response *response);

#endif
