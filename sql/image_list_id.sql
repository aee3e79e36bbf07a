-- A page in order of id, of everything, the trash included. $1 the id behind which it starts, $2 limit.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz?
SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
       content_type, object_id, variant, width, height, created_at, updated_at, last_accessed, access_count, deleted_at
FROM image_cache
WHERE id > $1::bigint
ORDER BY id
LIMIT $2::bigint
