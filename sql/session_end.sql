-- Somebody has logged out. $1 digest of the token.
-- Safe to send twice.
DELETE FROM admin_session
WHERE token_sha256 = $1::bytea
