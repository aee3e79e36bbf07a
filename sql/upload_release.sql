-- Gives back what $1 has taken and will not move. The attempt was none.
-- Safe to send twice.
UPDATE upload
SET claimed_by = NULL, claimed_until = NULL, attempts = greatest(attempts - 1, 0), attempted_at = NULL
WHERE sync_status <> 'completed' AND claimed_by = $1::text
