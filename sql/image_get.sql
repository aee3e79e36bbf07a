-- One live image with its bytes. $1 collection, $2 path.
-- Returns at most one row: bigint text text text text? bigint bytea timestamptz smallint text? text? text? text? int?
--     int? timestamptz
SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
       image_data, content_type, object_id, variant, width, height, updated_at
FROM image_cache
WHERE collection = $1::text AND original_path = $2::text AND deleted_at IS NULL
