-- Records a job that has ended. $1 kind, $2 state, $3 host, $4 started, $5 result.
INSERT INTO job_run (kind, state, host, started_at, finished_at, result)
VALUES ($1::text, $2::text, $3::text, $4::timestamptz, now(), $5::text::jsonb)
