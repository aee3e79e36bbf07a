-- Which of these images somebody has deleted. $1 ids. What cleanup moved into the trash keeps its file.
-- Returns rows: bigint
SELECT id FROM image_cache WHERE id = ANY ($1::bigint[]) AND deleted_at IS NOT NULL AND NOT cleaned_up
