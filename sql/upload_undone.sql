-- An upload could not be moved. $1 id, $2 who tried, $3 its status from now on, $4 why, $5 seconds until it is due again.
-- Safe to send twice.
UPDATE upload
SET sync_status = $3::text, last_error = $4::text, next_attempt_at = now() + make_interval(secs => $5::bigint),
    updated_at = now(), claimed_by = NULL, claimed_until = NULL
WHERE id = $1::bigint AND claimed_by = $2::text AND sync_status <> 'completed'
