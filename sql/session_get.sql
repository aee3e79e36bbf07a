-- When a session ends that is in use now, which is noted once a minute. $1 digest of the token, $2 of what goes with it,
-- $3 how many seconds it may be left unused.
-- Safe to send twice.
-- Returns at most one row: timestamptz
WITH found AS (
    SELECT token_sha256, expires_at, last_seen_at
    FROM admin_session
    WHERE token_sha256 = $1::bytea AND csrf_sha256 = $2::bytea AND expires_at > now()
      AND last_seen_at > now() - make_interval(secs => $3::bigint)
), seen AS (
    UPDATE admin_session s SET last_seen_at = now()
    FROM found f
    WHERE s.token_sha256 = f.token_sha256 AND f.last_seen_at < now() - interval '1 minute'
)
SELECT expires_at FROM found
