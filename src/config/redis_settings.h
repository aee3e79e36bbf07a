/* What the settings of Redis say together. */
#ifndef CONFIG_REDIS_SETTINGS_H
#define CONFIG_REDIS_SETTINGS_H

#include "config/config.h"
#include "config/sources.h"

/* Sets c->redis. -EINVAL when they contradict each other. */
int redis_settings_load(struct config *c, const struct sources *from, struct error *e)
    __attribute__((warn_unused_result));

#endif
