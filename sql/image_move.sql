-- The same content in another place. $1 id, $2 its sha256, $3 the base64 or null, $4 the URL or null. A row that has
-- other content by now stays as it is, and none is returned.
-- Safe to send twice.
-- Returns at most one row: int
UPDATE image_cache SET image_data = $3::text, image_url = $4::text
WHERE id = $1::bigint AND sha256 = $2::bytea
RETURNING 1
