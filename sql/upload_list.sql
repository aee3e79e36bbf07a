-- Uploads, the newest first, out of at most 10,000 of them. $1 state, $2 collection (null: any), $3 the id behind which
-- it starts, $4 limit. The last one examined is always among those returned.
-- Returns rows: bigint text text text text? int bigint text timestamptz timestamptz? text? bool bool bigint
SELECT *
FROM (
    SELECT id, temp_filename, collection, sync_status, last_error, attempts, file_size, content_type_header, created_at,
           completed_at, object_key,
           ($1::text IS NULL OR sync_status = $1::text) AND ($2::text IS NULL OR collection = $2::text) AS is_meant,
           lead(id) OVER w IS NULL AS is_last,
           row_number() OVER w AS n
    FROM upload
    WHERE id < $3::bigint
    WINDOW w AS (ORDER BY id DESC)
    ORDER BY id DESC
    LIMIT 10000
) AS seen
WHERE is_meant OR is_last OR n = 10000
ORDER BY id DESC
LIMIT $4::bigint
