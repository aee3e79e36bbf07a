-- Which of these paths are stored, and as what. $1 collection, $2 paths. The last column is the path's place in $2,
-- from 1.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz? bigint
SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
       content_type, object_id, variant, width, height, created_at, updated_at, last_accessed, access_count, deleted_at,
       wanted.n
FROM unnest($2::text[]) WITH ORDINALITY AS wanted (path, n)
JOIN image_cache ON collection = $1::text AND original_path = wanted.path COLLATE "C"
