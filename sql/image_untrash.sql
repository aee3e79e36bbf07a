-- Takes one image out of the trash. $1 collection, $2 path.
-- Returns at most one row: bigint
UPDATE image_cache
SET deleted_at = NULL, last_accessed = now()
WHERE collection = $1::text AND original_path = $2::text AND deleted_at IS NOT NULL
RETURNING id
