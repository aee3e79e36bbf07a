/* Which codings of a body a client takes: Accept-Encoding (RFC 9110 section 12.5.3). */
#ifndef HTTP_ACCEPTS_H
#define HTTP_ACCEPTS_H

/* Whether the field's value (NULL: not sent) takes this coding, by its name or by '*', with a weight above zero. */
int accepts_coding(const char *accept_encoding, const char *coding);

#endif
