-- Deletes for good those of these images that lie in the trash. $1 ids.
-- Returns rows: bigint
DELETE FROM image_cache
WHERE id = ANY ($1::bigint[]) AND deleted_at IS NOT NULL
RETURNING id
