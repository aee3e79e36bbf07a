-- As upload_list.sql, of those alone that are not in their buckets, which are few as a rule.
-- Returns rows: bigint text text text text? int bigint text timestamptz timestamptz? text? bool bool
SELECT id, temp_filename, collection, sync_status, last_error, attempts, file_size, content_type_header, created_at,
       completed_at, object_key, true AS is_meant, lead(id) OVER w IS NULL AS is_last
FROM upload
WHERE sync_status <> 'completed' AND sync_status = $1::text AND ($2::text IS NULL OR collection = $2::text)
      AND id < $3::bigint
WINDOW w AS (ORDER BY id DESC)
ORDER BY id DESC
LIMIT $4::bigint
