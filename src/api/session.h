/* Sessions of the admin page: a cookie's token and what it stands for. Every instance takes them; they are looked up in
 * the database, and remembered here for a few seconds.
 *
 *     token   256 random bits; the cookie of the browser, and nowhere else
 *     csrf    made of the token, so that it can be told again: what a script of the page sends along, and one of
 * another origin, which can't read it, does not
 *
 * A session counts only while PERDURA_ADMIN_PASSWORD is what it was at the login. All calls may come from any thread.
 */
#ifndef API_SESSION_H
#define API_SESSION_H

#include <stdint.h>

#include "base/error.h"
#include "records/admin_session.h"

#define SESSION_COOKIE     "__Host-perdura" /* RFC 6265bis: of this host alone, for https alone */
#define SESSION_TOKEN_SIZE 44               /* base64url */
#define SESSION_CSRF_SIZE  65               /* hexadecimal */

#define SESSION_LINK_LASTS_S 900

struct sessions;

/* -ENOMEM. The store is borrowed. */
int sessions_open(struct sessions **ret, struct store *store) __attribute__((warn_unused_result));
void sessions_close(struct sessions *s); /* NULL is allowed */

/* Whether anybody can log in: there is a password, or was a link. */
int sessions_possible(struct sessions *s);

/* The token in the value of a Cookie header (NULL: none came). -ENOENT: there is none that could be one of ours, or
 * more than one. */
int session_token(char ret[SESSION_TOKEN_SIZE], const char *cookies) __attribute__((warn_unused_result));

/* 0, or -EIO. */
int session_csrf(char ret[SESSION_CSRF_SIZE], const char *token) __attribute__((warn_unused_result));

/* Begins one; sets its token and when it ends (microseconds since 1970). Waits for the database. */
int sessions_begin(struct sessions *s, char ret_token[SESSION_TOKEN_SIZE], int64_t *ret_expires_us, struct error *e)
    __attribute__((warn_unused_result));

/* What is known without waiting: 0: it is one; -ENOENT: it was ended here; -EAGAIN: ask. */
int sessions_known(struct sessions *s, const char *token, int64_t *ret_expires_us) __attribute__((warn_unused_result));

/* Asks the database. One that it has confirmed in the last two minutes goes on while it can't be asked. 0, -ENOENT, or
 * what the database said. */
int sessions_ask(struct sessions *s, const char *token, int64_t *ret_expires_us, struct error *e)
    __attribute__((warn_unused_result));

/* Ends one: here at once, on other instances within seconds. When it fails, it has ended here
 * alone for now; that is made up for as soon as the database can be reached, as long as this process lives. */
int sessions_end(struct sessions *s, const char *token, struct error *e) __attribute__((warn_unused_result));

/* The token of a link that lets whoever has it log in, once, within SESSION_LINK_LASTS_S. An earlier one counts no
 * more. 0, -EIO. */
int sessions_make_link(struct sessions *s, char ret[SESSION_TOKEN_SIZE]) __attribute__((warn_unused_result));

/* Whether it is that one, which counts no more from now on. */
int sessions_use_link(struct sessions *s, const char *token);

#endif
