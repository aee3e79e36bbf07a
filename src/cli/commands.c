#include "cli/commands.h"

/* In the order of `perdura help`: first what a newcomer runs first. */
const struct command *const commands[] = {
    &command_run,
    &command_serve,
    &command_migrate,
    &command_cache_all,
    &command_restore,
    &command_warmup,
    &command_status,
    &command_list,
    &command_info,
    &command_get,
    &command_put,
    &command_rm,
    &command_check,
    &command_fsck,
    &command_cleanup,
    &command_sync_temp_images,
    &command_auto_sync,
    &command_migrate_storage,
    &command_invalidate,
    &command_config,
    &command_hash_password,
    &command_version,
    0,
};
