/* Locks that know their place: base/locks.def lists them in the only order in which a thread may take several. A build
 * with DEVELOPER=1 ends the program when one is taken out of order, so that any test finds what could deadlock. */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>

enum lock_rank {
#define LOCK(name, where, over) LOCK_##name,
#include "base/locks.def"
#undef LOCK
};

struct lock {
    pthread_mutex_t mutex; /* for pthread_cond_wait */
    enum lock_rank rank;
};

#define LOCK_INIT(name)                                                                                                \
    {                                                                                                                  \
        PTHREAD_MUTEX_INITIALIZER, LOCK_##name                                                                         \
    }

void lock_init(struct lock *l, enum lock_rank rank);
void lock_destroy(struct lock *l);

/* For locks of another kind, as a rwlock: taken (before the call that takes it), given. */
#ifdef DEVELOPER
void lock_note_taken(enum lock_rank rank);
void lock_note_given(enum lock_rank rank);
#else
static inline void lock_note_taken(enum lock_rank rank)
{
    (void)rank;
}

static inline void lock_note_given(enum lock_rank rank)
{
    (void)rank;
}
#endif

static inline void lock_take(struct lock *l)
{
    lock_note_taken(l->rank);
    pthread_mutex_lock(&l->mutex);
}

static inline void lock_give(struct lock *l)
{
    pthread_mutex_unlock(&l->mutex);
    lock_note_given(l->rank);
}

#endif
