-- A page of what cleanings have put into the trash, in order of id. $1 collections, $2 the id behind which it starts, $3
-- limit.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz?
SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
       content_type, object_id, variant, width, height, created_at, updated_at, last_accessed, access_count, deleted_at
FROM image_cache
WHERE deleted_at IS NOT NULL AND cleaned_up AND collection = ANY ($1::text[]) AND id > $2::bigint
ORDER BY id
LIMIT $3::bigint
