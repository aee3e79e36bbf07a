-- Somebody has logged in; sessions that have ended go. $1 digest of the token, $2 of what goes with it, $3 how many
-- seconds it lasts, $4 how many it may be left unused.
-- Returns one row: timestamptz
WITH ended AS (
    DELETE FROM admin_session
    WHERE expires_at <= now() OR last_seen_at <= now() - make_interval(secs => $4::bigint)
)
INSERT INTO admin_session (token_sha256, csrf_sha256, expires_at)
VALUES ($1::bytea, $2::bytea, now() + make_interval(secs => $3::bigint))
RETURNING expires_at
