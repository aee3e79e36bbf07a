-- An instance is there: $1 its id, $2 its host. Returns the time, and whether a cleaning waits for it to note uses.
-- Instances that were not seen for seven days are forgotten.
-- Safe to send twice.
-- Returns one row: timestamptz int
WITH forgotten AS (
    DELETE FROM instance WHERE seen_at < now() - interval '7 days' AND id <> $1::text
), renewed AS (
    INSERT INTO instance AS i (id, host) VALUES ($1::text, $2::text)
    ON CONFLICT (id) DO UPDATE SET seen_at = now()
    RETURNING i.use_at
)
SELECT now(), coalesce(use_at IS NULL OR use_at < (SELECT max(at) FROM cleanup_day WHERE at <= now()), false)::int
FROM renewed
