-- A page, most recently used first. $1 collections, $2 $3 $4 where the last page ended (last_accessed, access_count,
-- id), $5 limit.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz?
SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
       content_type, object_id, variant, width, height, created_at, updated_at, last_accessed, access_count, deleted_at
FROM image_cache
WHERE (last_accessed, access_count, id) < ($2::timestamptz, $3::bigint, $4::bigint) AND deleted_at IS NULL
      AND collection = ANY ($1::text[])
ORDER BY last_accessed DESC, access_count DESC, id DESC
LIMIT $5::bigint
