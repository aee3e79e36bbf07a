-- The last run of each kind of job, previews left out.
-- Returns rows: text text text timestamptz timestamptz? text
SELECT DISTINCT ON (kind) kind,
    CASE WHEN state = 'done' AND result ? 'failures' THEN 'done_with_failures' ELSE state END AS state,
    host, started_at, finished_at, result::text
FROM (SELECT * FROM job_run WHERE NOT result ? 'dry_run' ORDER BY started_at DESC LIMIT 200) AS recent
ORDER BY kind, started_at DESC
