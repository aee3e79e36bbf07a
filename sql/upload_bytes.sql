-- The bytes of an upload that has no parts. $1 id.
-- Returns at most one row: text?
SELECT image_data
FROM upload
WHERE id = $1::bigint
