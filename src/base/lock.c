#include "base/lock.h"

#include <stdio.h>
#include <stdlib.h>

void lock_init(struct lock *l, enum lock_rank rank)
{
    pthread_mutex_init(&l->mutex, NULL);
    l->rank = rank;
}

void lock_destroy(struct lock *l)
{
    pthread_mutex_destroy(&l->mutex);
}

#ifdef DEVELOPER

#define HELD_MAX 8

static _Thread_local enum lock_rank held[HELD_MAX];
static _Thread_local int held_count;

static const char *name_of(enum lock_rank rank)
{
    static const char *const names[] = {
#define LOCK(name, where, over) #name,
#include "base/locks.def"
#undef LOCK
    };
    return names[rank];
}

void lock_note_taken(enum lock_rank rank)
{
    for (int i = 0; i < held_count; i++) {
        if (held[i] < rank)
            continue;
        fprintf(stderr, "perdura: the lock %s is taken while %s is held: see src/base/locks.def\n", name_of(rank),
                name_of(held[i]));
        abort();
    }
    if (held_count == HELD_MAX)
        abort();
    held[held_count++] = rank;
}

void lock_note_given(enum lock_rank rank)
{
    int i = held_count - 1;
    while (i >= 0 && held[i] != rank)
        i--;
    if (i < 0)
        abort();
    for (held_count--; i < held_count; i++)
        held[i] = held[i + 1];
}

#endif
