/* Redis: commands go out together in one write, their answers come back in order, and nobody waits beyond a deadline.
 *
 * The first failure opens a circuit breaker: from then on every call is answered -ENOTCONN at once, and a thread of the
 * client alone tries again, after 1 s, then 2 s and so on up to 10 s, each a little by chance. It closes the breaker
 * when Redis answers and whoever uses the client has made good (on_recover) what was missed meanwhile. That thread
 * opens all connections: looking up names, Sentinels and TLS keep no caller longer than he is willing to wait.
 *
 * What Redis says decides, too:
 *     LOADING MASTERDOWN BUSY        it can't serve now: as if it were away
 *     READONLY MISCONF NOREPLICAS    it changes nothing, so that old copies could not be dropped: likewise
 *     NOAUTH WRONGPASS NOPERM        it refuses us: likewise
 *     MOVED ASK CLUSTERDOWN ...      it is part of a cluster, which is not supported: likewise
 *     unknown command                it is too old, or has it renamed: likewise
 *     OOM and any other              this command failed, the breaker stays closed
 *
 * An answer that is not Redis' protocol (client/redis_scan.h), or one more than there were commands, counts as a
 * failure and ends the connection. The pauses begin anew only when a command has
 * succeeded since.
 *
 * -EAGAIN: all connections are in use; the breaker stays closed. -EMSGSIZE: the answers are larger than they may be. */
#ifndef CLIENT_REDIS_H
#define CLIENT_REDIS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "client/tls.h"
#include "config/redis_url.h"

struct redis_client;

enum redis_client_seen {
    REDIS_CLIENT_SAME, /* the server that was there before */
    REDIS_CLIENT_OTHER /* started anew, or another one: what it holds may be older than what we told it */
};

/* All functions are called by the client's thread. */
struct redis_client_options {
    struct redis_url url;
    struct tls_options tls; /* its texts live as long as the client */
    int max_connections;
    int silence_ms;      /* a server that sends nothing for so long has failed */
    int pool_timeout_ms; /* nobody waits longer for a connection */
    size_t reply_max_bytes;
    void (*on_change)(void *arg, int up, const char *why); /* the breaker was closed, or opened and why */
    int (*on_recover)(void *arg, enum redis_client_seen seen, struct error *e); /* may call redis_client_call */
    void *arg;
};

/* Connects to nothing yet. */
int redis_client_open(struct redis_client **ret, const struct redis_client_options *options, struct error *e)
    __attribute__((warn_unused_result));
/* Nothing is in use any more. NULL is allowed. */
void redis_client_close(struct redis_client *c);

/* Has the client's thread open a connection now, so that a server that can't be reached is known before it is needed.
 */
void redis_client_connect(struct redis_client *c);

/* Opens the breaker for a reason that only the caller knows. */
void redis_client_trip(struct redis_client *c, const char *why);
int redis_client_is_up(struct redis_client *c);

/* Commands that go together. */
#define REDIS_CLIENT_COMMANDS_MAX 256

struct redis_client_commands {
    struct buf buf;
    int count;
    int unhurried; /* nobody waits for the answers: only the deadline counts, not silence_ms */
    int is_ping;   /* that they succeed does not prove that Redis serves */
};

void redis_client_commands_init(struct redis_client_commands *cmds, size_t max_bytes);
void redis_client_commands_release(struct redis_client_commands *cmds);
/* Appends one; `lengths` NULL: the arguments end in a NUL. 0, -ENOMEM, -EMSGSIZE. */
int redis_client_add(struct redis_client_commands *cmds, int argc, const char *const *argv, const size_t *lengths)
    __attribute__((warn_unused_result));

/* One answer to each. Between a successful call and the release. */
struct redis_client_replies {
    int count;
    void *list[REDIS_CLIENT_COMMANDS_MAX];
};

int redis_client_call(struct redis_client *c, const struct redis_client_commands *cmds, int64_t deadline_ms,
                      struct redis_client_replies *ret, struct error *e) __attribute__((warn_unused_result));
void redis_client_replies_release(struct redis_client_replies *r);

enum redis_client_kind {
    REDIS_CLIENT_NIL,
    REDIS_CLIENT_TEXT,
    REDIS_CLIENT_INTEGER,
    REDIS_CLIENT_LIST,
    REDIS_CLIENT_ERROR
};

enum redis_client_kind redis_client_kind(const void *reply);
const char *redis_client_text(const void *reply, size_t *ret_n); /* of a TEXT or ERROR, ends in a NUL; else NULL, 0 */
int64_t redis_client_integer(const void *reply);                 /* 0 for other kinds */
size_t redis_client_length(const void *reply);                   /* of a LIST; 0 for other kinds */
const void *redis_client_at(const void *reply, size_t index);

struct redis_client_state {
    int up;
    int connections, in_use;
    int64_t errors;
    char why[256];                    /* the last failure; "" before the first */
    char server[REDIS_URL_HOST_SIZE]; /* of the last connection, as redis_url_host_text; "" before the first */
};

void redis_client_state(struct redis_client *c, struct redis_client_state *ret);

#endif
