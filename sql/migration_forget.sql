-- Records a migration as taken back. $1 version.
DELETE FROM schema_migration
WHERE version = $1::bigint
