#include "http/body_room.h"

#include <errno.h>

static const struct {
    int64_t memory, file;
} most[BODY_SENDERS] = {
    [BODY_LOGIN] = {1 << 20, 0},
    [BODY_ANYBODY] = {32 << 20, INT64_C(512) << 20},
    [BODY_TRUSTED] = {64 << 20, INT64_C(1) << 30},
};

static int take(atomic_llong *from, int64_t n, int64_t limit)
{
    if (atomic_fetch_add(from, n) + n <= limit || n <= 0)
        return 0;
    atomic_fetch_sub(from, n);
    return -EAGAIN;
}

/* Of all bodies that go to files, one at a time may go beyond their room: else the largest ones could never be sent. */
static int take_file(struct body_rooms *rooms, enum body_sender sender, struct body_hold *hold, int64_t n)
{
    atomic_llong *from = &rooms->of[sender].file;
    int none = 0;
    if (take(from, n, most[sender].file) == 0)
        return 0;
    if (!most[sender].file ||
        (!hold->overflow && !atomic_compare_exchange_strong(&rooms->of[sender].overflow, &none, 1)))
        return -EAGAIN;
    hold->overflow = 1;
    atomic_fetch_add(from, n);
    return 0;
}

int body_room_hold(struct body_rooms *rooms, enum body_sender sender, struct body_hold *hold, int64_t memory,
                   int64_t file)
{
    if (take_file(rooms, sender, hold, file - hold->file) < 0)
        return -EAGAIN;
    if (take(&rooms->of[sender].memory, memory - hold->memory, most[sender].memory) < 0) {
        atomic_fetch_sub(&rooms->of[sender].file, file - hold->file);
        return -EAGAIN;
    }
    hold->memory = memory;
    hold->file = file;
    return 0;
}

void body_room_release(struct body_rooms *rooms, enum body_sender sender, struct body_hold *hold)
{
    atomic_fetch_sub(&rooms->of[sender].memory, hold->memory);
    atomic_fetch_sub(&rooms->of[sender].file, hold->file);
    if (hold->overflow)
        atomic_store(&rooms->of[sender].overflow, 0);
    *hold = (struct body_hold){0};
}
