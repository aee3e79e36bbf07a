-- How many uploads of the collections $2 others than $1 are moving, or were when they died.
-- Returns one row: bigint
SELECT count(*)
FROM upload
WHERE sync_status <> 'completed' AND claimed_until IS NOT NULL AND claimed_by <> $1::text AND collection = ANY ($2::text[])
