-- Commits an upload: with its bytes ($6), or with all of its $7 parts, which are there already. No row when they are not.
-- Returns at most one row: bigint
INSERT INTO upload (temp_filename, collection, content_type_header, file_size, sha256, image_data, parts, object_key)
SELECT $1::text, $2::text, $3::text, $4::bigint, $5::bytea, $6::text, $7::bigint, $8::text
WHERE $7::bigint = (SELECT count(*) FROM upload_part WHERE temp_filename = $1::text)
RETURNING id
