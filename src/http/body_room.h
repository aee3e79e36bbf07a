/* The room that bodies of requests may take while they come in: in memory, and in files without a name. It is taken by
 * what has been received and never by what a request only announces, and from different stores for different senders:
 * nobody who needs no token can take the room of those who have one, and logins always have some. */
#ifndef HTTP_BODY_ROOM_H
#define HTTP_BODY_ROOM_H

#include <stdatomic.h>
#include <stdint.h>

enum body_sender {
    BODY_LOGIN,   /* anybody, at the login */
    BODY_ANYBODY, /* likewise, at a route that PERDURA_OPEN opens */
    BODY_TRUSTED, /* with a token or a session */
    BODY_SENDERS
};

struct body_rooms {
    struct {
        atomic_llong memory, file; /* bytes taken */
        atomic_int overflow;       /* one body is larger than all the room for files, and has it */
    } of[BODY_SENDERS];
};

/* What one request has taken; zeroed at first. */
struct body_hold {
    int64_t memory, file;
    int overflow;
};

/* Changes it to so many bytes of each. -EAGAIN: there is no room, and nothing changes. To take less always succeeds. */
int body_room_hold(struct body_rooms *rooms, enum body_sender sender, struct body_hold *hold, int64_t memory,
                   int64_t file) __attribute__((warn_unused_result));

void body_room_release(struct body_rooms *rooms, enum body_sender sender, struct body_hold *hold);

#endif
