-- What a daily cleaning has found out. $1 its time, $2 why uses are not known, or null; $3 PERDURA_CLEANUP_DAYS, 0: off.
-- Uses are known since the first of a chain of cleanings that knew them, none more than eight days after the one before.
-- Images are announced that would be trashed within eight days: those that are to be trashed in a week are then
-- announced for a week at least, at whatever minute the cleanings run.
-- Safe to send twice.
-- Returns at most one row: timestamptz?
WITH known AS (
    SELECT CASE WHEN $2::text IS NULL THEN coalesce((
        SELECT p.use_since
        FROM cleanup_day p
        WHERE p.checked_at IS NOT NULL AND p.at < $1::timestamptz AND p.at > $1::timestamptz - interval '8 days'
        ORDER BY p.at DESC
        LIMIT 1
    ), $1::timestamptz) END AS since
), announced AS (
    SELECT CASE WHEN $3::bigint > 0 AND since <= limits.at THEN limits.at END AS at
    FROM known, (SELECT $1::timestamptz + interval '8 days' - make_interval(days => $3::bigint::int) AS at) AS limits
)
UPDATE cleanup_day d
SET checked_at = now(), use_since = known.since, use_error = $2::text, days = nullif($3::bigint, 0),
    announced = announced.at
FROM known, announced
WHERE d.at = $1::timestamptz
RETURNING d.use_since
