/* For LD_PRELOAD: calls that fail as they do when the machine has nothing left to give. Of those of realloc(3) for
 * NO_MEMORY_FROM to NO_MEMORY_TO bytes number NO_MEMORY_AT does, and of those of pthread_create(3) number NO_THREAD_AT.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static size_t number(const char *name)
{
    const char *value = getenv(name);
    return value ? strtoul(value, NULL, 10) : 0;
}

void *realloc(void *old, size_t n)
{
    static void *(*next)(void *, size_t);
    static atomic_size_t calls;
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "realloc");
    if (n >= number("NO_MEMORY_FROM") && n <= number("NO_MEMORY_TO") &&
        atomic_fetch_add(&calls, 1) + 1 == number("NO_MEMORY_AT")) {
        errno = ENOMEM;
        return NULL;
    }
    return next(old, n);
}

int pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    static atomic_size_t calls;
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    return atomic_fetch_add(&calls, 1) + 1 == number("NO_THREAD_AT") ? EAGAIN : next(ret, attr, fn, arg);
}
