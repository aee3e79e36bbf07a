-- What goes with the table image_cache: images, images in the trash.
-- Returns one row: bigint bigint
SELECT count(*) FILTER (WHERE deleted_at IS NULL), count(*) FILTER (WHERE deleted_at IS NOT NULL)
FROM image_cache
