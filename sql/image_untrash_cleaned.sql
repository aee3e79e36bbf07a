-- Takes those of these images out of the trash that a cleaning has put there. $1 ids.
-- Returns rows: bigint
UPDATE image_cache
SET deleted_at = NULL, last_accessed = now()
WHERE id = ANY ($1::bigint[]) AND deleted_at IS NOT NULL AND cleaned_up
RETURNING id
