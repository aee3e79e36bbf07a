-- What is known of one image, in the trash or not. $1 collection, $2 path.
-- Returns at most one row: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int?
--     timestamptz timestamptz timestamptz bigint timestamptz?
SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
       content_type, object_id, variant, width, height, created_at, updated_at, last_accessed, access_count, deleted_at
FROM image_cache
WHERE collection = $1::text AND original_path = $2::text
