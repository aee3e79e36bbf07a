#include "store/folders.h"

#include "store/store_tiers.h"
#include "tier/tier_disk.h"

int store_folder(struct store *store, const char *collection, enum store_folder how, int *ret_fd, struct error *e)
{
    return tier_disk_root(store->disk, collection, how == STORE_FOLDER_MAKE ? TIER_DISK_MAKE : TIER_DISK_EXISTING,
                          ret_fd, e);
}

int store_folder_in_place(struct store *store, const char *collection, struct error *e)
{
    return tier_disk_in_place(store->disk, collection, e);
}

int store_folder_reopen(struct store *store, const char *collection, struct error *e)
{
    return tier_disk_reopen(store->disk, collection, e);
}

int store_staging(struct store *store, const char *collection, struct staging **ret, struct error *e)
{
    return tier_disk_staging(store->disk, collection, ret, e);
}

void store_folders_sync(struct store *store)
{
    tier_disk_sync(store->disk);
}

struct stale_files *store_stale_files(struct store *store)
{
    return tier_disk_stale_files(store->disk);
}
