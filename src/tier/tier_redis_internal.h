/* What the files of tier/tier_redis*.c share. */
#ifndef TIER_TIER_REDIS_INTERNAL_H
#define TIER_TIER_REDIS_INTERNAL_H

#include <stdatomic.h>

#include "base/lock.h"
#include "tier/tier_redis.h"
#include "tier/tier_redis_hash.h"

/* The names of keys that could not be dropped. */
struct tier_redis_owed {
    struct lock working; /* one at a time works it off; taken before the lock */
    struct lock lock;
    int count;
    char *names[TIER_REDIS_OWED_MAX];
    uint64_t all, all_done; /* how often everything was owed, and dropped */
    atomic_int any;
};

/* Whether it takes images. */
struct tier_redis_writes {
    struct lock lock; /* over all below */
    enum tier_redis_write_state state;
    int64_t pause_ms;
    int64_t refused_ms, until_ms; /* clock_monotonic_ms: the last time; nothing is put before */
    char why[256];                /* "" while it does */
};

struct tier_redis {
    struct redis_client *client;
    int timeout_ms, pool_timeout_ms;
    int64_t max_bytes;
    enum tier_redis_encoding encoding;
    atomic_int ttl_s;
    atomic_ullong sweeps;
    struct tier_redis_owed owed;
    struct tier_redis_writes writes;
    tier_redis_changed_fn *changed;
    void *changed_arg;
};

/* Drops keys by name, and those that they name in `see`. Returns how many of `names` were there. */
#define TIER_REDIS_NAMES_MAX (2 * TIER_REDIS_DROP_MAX)

int tier_redis_unlink(struct tier_redis *r, const char *const *names, int count, int64_t deadline_ms, struct error *e)
    __attribute__((warn_unused_result));

/* All keys that match. Returns how many images. */
int tier_redis_sweep(struct tier_redis *r, const char *pattern, struct error *e) __attribute__((warn_unused_result));

void tier_redis_writes_init(struct tier_redis_writes *w);
void tier_redis_writes_release(struct tier_redis_writes *w);
/* 0, or -ENOSPC: it refused a moment ago. */
int tier_redis_may_write(struct tier_redis *r, struct error *e) __attribute__((warn_unused_result));
/* An image was taken; or not, and what Redis said. */
void tier_redis_note_accepted(struct tier_redis *r);
void tier_redis_note_refused(struct tier_redis *r, const char *said);

void tier_redis_owed_init(struct tier_redis_owed *owed);
void tier_redis_owed_release(struct tier_redis_owed *owed);
void tier_redis_owe(struct tier_redis *r, const char *const *names, int count);
void tier_redis_owe_all(struct tier_redis *r);
int tier_redis_work_off(struct tier_redis *r, struct error *e) __attribute__((warn_unused_result));

#endif
