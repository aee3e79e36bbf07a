-- How many running instances have not noted the uses of their files since $1.
-- Returns one row: bigint
SELECT count(*)
FROM instance
WHERE ended_at IS NULL AND seen_at > now() - interval '2 minutes' AND (use_at IS NULL OR use_at < $1::timestamptz)
