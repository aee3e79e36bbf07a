-- Puts one image into the trash. $1 collection, $2 path. No row: it is not there, or in the trash already.
-- Returns at most one row: bigint
UPDATE image_cache
SET deleted_at = now()
WHERE collection = $1::text AND original_path = $2::text AND deleted_at IS NULL
RETURNING id
