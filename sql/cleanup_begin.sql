-- A daily cleaning begins. $1 host. Returns its time. What is known of earlier ones is kept for two months; rows of the
-- future are those of a clock that was wrong.
-- Returns one row: timestamptz
WITH old AS (
    DELETE FROM cleanup_day WHERE at < now() - interval '60 days' OR at > now()
)
INSERT INTO cleanup_day (host) VALUES ($1::text)
RETURNING at
