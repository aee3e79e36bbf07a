-- Forgets uploads that have been in their buckets for $1 days, and parts whose upload did not come to its end for a day.
-- Returns one row: bigint bigint
WITH old AS (
    DELETE FROM upload
    WHERE sync_status = 'completed' AND completed_at < now() - make_interval(days => $1::bigint::int)
    RETURNING 1
), broken AS (
    DELETE FROM upload_part p
    WHERE p.created_at < now() - interval '1 day'
      AND NOT EXISTS (SELECT FROM upload u WHERE u.temp_filename = p.temp_filename)
    RETURNING 1
)
SELECT (SELECT count(*) FROM old), (SELECT count(*) FROM broken)
