-- The bytes of a batch of images, in the trash or not. $1 ids.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text?
SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
       image_data
FROM image_cache
WHERE id = ANY ($1::bigint[])
