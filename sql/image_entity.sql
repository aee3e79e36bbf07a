-- The live images of an entity, the last one written or assigned first. $1 content type, $2 object, $3 variant (null: all
-- of them), $4 limit.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz?
SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
       content_type, object_id, variant, width, height, created_at, updated_at, last_accessed, access_count, deleted_at
FROM image_cache
WHERE content_type = $1::text AND object_id = $2::text AND ($3::text IS NULL OR variant = $3::text)
      AND deleted_at IS NULL
ORDER BY updated_at DESC, id DESC
LIMIT $4::bigint
