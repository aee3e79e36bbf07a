-- Records a migration as applied. $1 version, $2 name, $3 checksum, $4 the oldest version of the program that may write
-- from now on (null: any).
-- Returns one row: timestamptz
INSERT INTO schema_migration (version, name, checksum, compatible_from)
VALUES ($1::bigint, $2::text, $3::text, $4::text)
RETURNING applied_at
