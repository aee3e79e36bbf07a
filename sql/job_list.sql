-- Jobs that have ended, the last ones first. $1 kind (null: any), $2 $3 where the page before ended (started_at, id),
-- $4 limit.
-- Returns rows: bigint text text text timestamptz timestamptz? text
SELECT id, kind,
    CASE WHEN state = 'done' AND result ? 'failures' THEN 'done_with_failures' ELSE state END AS state,
    host, started_at, finished_at, result::text
FROM job_run
WHERE ($1::text IS NULL OR kind = $1::text) AND (started_at, id) < ($2::timestamptz, $3::bigint)
ORDER BY started_at DESC, id DESC
LIMIT $4::bigint
