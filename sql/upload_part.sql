-- One part of an upload. $1 name, $2 which.
-- Returns at most one row: text
SELECT image_data
FROM upload_part
WHERE temp_filename = $1::text AND part = $2::bigint
