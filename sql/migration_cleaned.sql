-- What goes with the column cleaned_up: of which images in the trash nobody has deleted the file.
-- Returns one row: bigint
SELECT count(*)
FROM image_cache
WHERE deleted_at IS NOT NULL AND cleaned_up
