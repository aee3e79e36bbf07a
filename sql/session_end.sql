-- Somebody has logged out. $1 digest of the token.
DELETE FROM admin_session
WHERE token_sha256 = $1::bytea
