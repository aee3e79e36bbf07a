-- A page of the trash, last deleted first. $1 collection, $2 deleted before, $3 id before, $4 limit.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz?
SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
       content_type, object_id, variant, width, height, created_at, updated_at, last_accessed, access_count, deleted_at
FROM image_cache
WHERE deleted_at IS NOT NULL AND (deleted_at, id) < ($2::timestamptz, $3::bigint) AND collection = $1::text
ORDER BY deleted_at DESC, id DESC
LIMIT $4::bigint
