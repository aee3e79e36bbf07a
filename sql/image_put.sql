-- Stores a batch of images in one statement. Each parameter is an array with one element an image, no path twice.
-- The functions stand in the select list and not in FROM, where their output, megabytes of it, would be spooled.
-- An entity that is already known stays when the writer does not name one.
-- $14 says when the row that each one replaces was changed last, as its writer saw it: in microseconds since 1970, 0
-- for no row, -1 when that does not matter. A row that was changed since stays, and is not among the returned ones.
-- Of $6 and $15 (where the bytes are instead) one is null for each image.
-- Safe to send twice.
-- Returns rows: int
INSERT INTO image_cache AS old (collection, original_path, content_type, object_id, variant, image_data, file_size,
                                content_type_header, sha256, width, height, source_mtime, source_mtime_ns, image_url)
SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]),
       unnest($6::text[]), unnest($7::bigint[]), unnest($8::text[]), unnest($9::bytea[]),
       nullif(unnest($10::bigint[]), 0), nullif(unnest($11::bigint[]), 0), unnest($12::timestamptz[]),
       unnest($13::bigint[]), unnest($15::text[])
ON CONFLICT (collection, original_path) DO UPDATE SET
    content_type = coalesce(EXCLUDED.content_type, old.content_type),
    object_id = coalesce(EXCLUDED.object_id, old.object_id),
    variant = coalesce(EXCLUDED.variant, old.variant),
    image_data = EXCLUDED.image_data,
    image_url = EXCLUDED.image_url,
    file_size = EXCLUDED.file_size,
    content_type_header = EXCLUDED.content_type_header,
    sha256 = EXCLUDED.sha256,
    width = EXCLUDED.width,
    height = EXCLUDED.height,
    source_mtime = EXCLUDED.source_mtime,
    source_mtime_ns = EXCLUDED.source_mtime_ns,
    last_accessed = now(),
    deleted_at = NULL
WHERE NOT EXISTS (
    SELECT FROM unnest($1::text[], $2::text[], $14::bigint[]) AS seen (collection, path, at)
    WHERE seen.collection = old.collection AND seen.path = old.original_path AND seen.at <> -1
          AND seen.at <> (extract(epoch FROM old.updated_at) * 1000000)::bigint
)
RETURNING 1
