/* Every subcommand, defined in its cmd_*.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/cli.h"

/* All of them, ended by NULL. */
extern const struct command *const commands[];

extern const struct command command_auto_sync;
extern const struct command command_cache_all;
extern const struct command command_check;
extern const struct command command_cleanup;
extern const struct command command_config;
extern const struct command command_fsck;
extern const struct command command_get;
extern const struct command command_hash_password;
extern const struct command command_info;
extern const struct command command_invalidate;
extern const struct command command_list;
extern const struct command command_migrate;
extern const struct command command_migrate_storage;
extern const struct command command_put;
extern const struct command command_restore;
extern const struct command command_rm;
extern const struct command command_run;
extern const struct command command_serve;
extern const struct command command_status;
extern const struct command command_sync_temp_images;
extern const struct command command_version;
extern const struct command command_warmup;

#endif
