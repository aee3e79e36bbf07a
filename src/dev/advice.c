#include "dev/advice.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dev/story.h"

/* 'text' so that a shell takes it as one word. */
static void print_quoted(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:@,";
    if (*text && !text[strspn(text, plain)]) {
        printf("%s", text);
        return;
    }
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else
            putchar(*text);
    }
    putchar('\'');
}

/* The product, which lies beside this program: perdura-dev without its ending. */
static void print_program(void)
{
    char program[PATH_MAX];
    ssize_t ending = (ssize_t)strlen("-dev"), n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n < ending ? 0 : n - ending] = '\0';
    print_quoted(n < ending ? "perdura" : program);
}

/* What the request before has left in Redis. */
static void print_redis(const struct private_redis *redis)
{
    static const char key[] = "image:path:media:" DEV_STORY_IMAGE;
    const char *socket = redis->server.socket;
    printf("  redis-cli -s %s HMGET %s content_type size    its copy in Redis, for other instances ...\n", socket, key);
    printf("  redis-cli -s %s TTL %s    ... and for how many seconds it stays there\n", socket, key);
}

static void print_http(const struct dev_advice *a)
{
    printf("  curl -sI %s" DEV_STORY_IMAGE "    its headers\n", a->images);
    printf("  curl -s %s/health    whether all is well\n", a->url);
    printf("  curl -s %s/image-cache/status -H \"$auth\"    what is stored, as JSON\n", a->url);
    printf("  curl -sX POST %s/image-cache/cache-all -H \"$auth\"    store what is not stored yet\n", a->url);
    printf("  rm \"$PERDURA_MEDIA_ROOT\"/" DEV_STORY_IMAGE "    lose one file ...\n");
    printf("  curl -so healed.png %s" DEV_STORY_IMAGE "    ... and ask for it: it is back on disk\n", a->images);
    if (a->redis)
        print_redis(a->redis);
    printf("  curl -sT healed.png %savatars/9/me.png -H \"$auth\"    store one more: answered when it is committed\n",
           a->images);
}

void dev_advice_print(const struct dev_advice *a)
{
    printf("\nServing, and storing every image that is written to the folder:\n\n  %s" DEV_STORY_IMAGE
           "    the image just healed\n  %s/image-cache/status    with the token below\n",
           a->images, a->url);
    if (*a->login)
        printf("  %s    the admin page; this link works once, for 15 minutes\n", a->login);
    printf("\nTry it. In another terminal, first:\n\n  export DATABASE_URL=");
    print_quoted(a->pg->url);
    if (a->redis) {
        printf("\n  export REDIS_URL=");
        print_quoted(a->redis->url);
    }
    printf("\n  export PERDURA_MEDIA_ROOT=");
    print_quoted(a->media);
    printf("\n  alias perdura=");
    print_program();
    printf("\n  auth='Authorization: Bearer %s'", a->token);
    printf("\n\nthen:\n\n");
    print_http(a);
    printf("\n"
           "  perdura status                           what is stored, and what the last jobs did\n"
           "  perdura list                             the images\n"
           "  perdura info avatars/7/me.png            all that is known of one\n"
           "  perdura get avatars/7/me.png > me.png    one image's bytes, from disk or else from PostgreSQL\n"
           "  perdura put me.png avatars/8/me.png      store one more, and put it on disk\n"
           "  perdura rm avatars/8/me.png              move it to the trash ...\n"
           "  perdura restore avatars/8/me.png         ... and take it out again\n"
           "  rm -r \"$PERDURA_MEDIA_ROOT\"/*            lose all files, as in a deploy ...\n"
           "  perdura check                            ... see what is missing on disk ...\n"
           "  perdura restore --all                    ... and have it back\n"
           "  perdura fsck                             compare every stored image with its sha256\n"
           "  psql \"$DATABASE_URL\" -c 'SELECT original_path, file_size FROM image_cache LIMIT 5'\n");
}
