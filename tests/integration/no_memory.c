/* For LD_PRELOAD: of the calls of realloc(3) for NO_MEMORY_FROM to NO_MEMORY_TO bytes, number NO_MEMORY_AT fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static size_t number(const char *name)
{
    return strtoul(getenv(name), NULL, 10);
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
