-- Forgets jobs after a year.
DELETE FROM job_run
WHERE started_at < now() - interval '1 year'
