-- How many rows have the content type $1 and, unless it is null, the object $2; or, where $1 is null, are in the state $3:
-- large (in object storage) or trash. Counts up to 2,001.
-- Returns one row: bigint
SELECT count(*)
FROM (
    (SELECT FROM image_cache WHERE $2::text IS NULL AND content_type = $1::text LIMIT 2001)
    UNION ALL
    (SELECT FROM image_cache WHERE content_type = $1::text AND object_id = $2::text LIMIT 2001)
    UNION ALL
    (SELECT FROM image_cache WHERE $1::text IS NULL AND $3::text = 'large' AND image_url IS NOT NULL LIMIT 2001)
    UNION ALL
    (SELECT FROM image_cache WHERE $1::text IS NULL AND $3::text = 'trash' AND deleted_at IS NOT NULL LIMIT 2001)
) AS few
