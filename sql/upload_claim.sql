-- Takes an upload to be moved by $1 for the next $2 seconds: one of the collections $3 that is due (or any, with $5
-- above 0) and was not tried since $4. Nobody waits for a row that somebody else is taking.
-- Returns at most one row: bigint text text text bigint bytea text? int int timestamptz
UPDATE upload u
SET claimed_by = $1::text, claimed_until = now() + make_interval(secs => $2::bigint), attempted_at = clock_timestamp(),
    attempts = attempts + 1
FROM (
    SELECT id
    FROM upload
    WHERE sync_status <> 'completed'
      AND (next_attempt_at <= now() OR $5::bigint > 0)
      AND (claimed_until IS NULL OR claimed_until <= now())
      AND (attempted_at IS NULL OR attempted_at < $4::timestamptz OR claimed_until IS NOT NULL)
      AND collection = ANY ($3::text[])
    ORDER BY next_attempt_at, id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
) due
WHERE u.id = due.id
RETURNING u.id, u.temp_filename, u.collection, u.content_type_header, u.file_size, u.sha256, u.object_key, u.parts,
          u.attempts, u.created_at
