-- How far an upload is. $1 name.
-- Returns at most one row: text text text? text? int timestamptz timestamptz?
SELECT collection, sync_status, last_error, object_key, attempts, created_at, completed_at
FROM upload
WHERE temp_filename = $1::text
