-- A page in order of path. $1 collection, $2 the path behind which it starts, $3 prefix, $4 limit.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz?
SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
       content_type, object_id, variant, width, height, created_at, updated_at, last_accessed, access_count, deleted_at
FROM image_cache
WHERE collection = $1::text AND original_path > $2::text AND original_path >= $3::text
      AND starts_with(original_path, $3::text) AND deleted_at IS NULL
ORDER BY original_path
LIMIT $4::bigint
