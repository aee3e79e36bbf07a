-- The bytes of an upload that has no parts. $1 id.
SELECT image_data
FROM upload
WHERE id = $1::bigint
