-- Says that an object is about to be put where nobody must remove it. $1 its URL, $2 its sha256. No row is returned
-- while it is being removed; whoever began to and was not heard of for ten minutes has not ended it.
-- Safe to send twice.
-- Returns at most one row: int
INSERT INTO image_object AS old (url, sha256)
VALUES ($1::text, $2::bytea)
ON CONFLICT (url) DO UPDATE SET claimed_at = now(), unneeded_at = NULL, removing_at = NULL
WHERE old.removing_at IS NULL OR old.removing_at < now() - interval '10 minutes'
RETURNING 1
