-- What has been applied, in order.
-- Returns rows: int text text timestamptz
SELECT version, name, checksum, applied_at
FROM schema_migration
ORDER BY version
