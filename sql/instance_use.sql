-- An instance has noted the uses of its files up to a moment. $1 its id, $2 the moment, $3 why access times tell nothing
-- there, or null; $4 1: it ends after this.
-- Safe to send twice.
UPDATE instance
SET seen_at = now(), use_at = $2::timestamptz, use_error = $3::text,
    ended_at = CASE WHEN $4::bigint = 1 THEN now() END
WHERE id = $1::text
