/* What `perdura-dev` shows to someone who has never seen Perdura: images are written, cached, wiped from the disk,
 * restored and compared, each step by the same code that the other commands use. */
#ifndef DEV_STORY_H
#define DEV_STORY_H

#include "dev/dev_folder.h"
#include "dev/private_postgres.h"
#include "dev/private_redis.h"
#include "process/stop_signals.h"

struct config;

/* An image of the story, which has just been healed at its end. */
#define DEV_STORY_IMAGE "avatars/7/me.png"

/* The settings that lead to this PostgreSQL, this Redis (unless it was not started) and this media folder, and to
 * nothing that the environment names. The HTTP service takes any free port and has a token made for it. */
int dev_story_config(struct config *ret, const struct private_postgres *pg, const struct private_redis *redis,
                     const char *media, struct error *e) __attribute__((warn_unused_result));

/* Brings the empty database up to date. Sets how many migrations were applied. */
int dev_story_migrate(const struct config *config, int *ret_applied, struct error *e)
    __attribute__((warn_unused_result));

/* Tells the whole story on stdout, from step 1. `shown` is how the media folder is called. Returns an enum cli_exit;
 * ends early, with CLI_OK, when we were asked to stop. */
int dev_story(struct dev_folder *folder, const struct private_postgres *pg, const struct private_redis *redis,
              const struct config *config, const char *shown, struct stop_signals *signals);

#endif
