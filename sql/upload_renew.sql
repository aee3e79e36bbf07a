-- Whoever moves uploads goes on doing so for the next $2 seconds. $1 who.
-- Safe to send twice.
UPDATE upload
SET claimed_until = now() + make_interval(secs => $2::bigint)
WHERE sync_status <> 'completed' AND claimed_by = $1::text AND claimed_until IS NOT NULL
