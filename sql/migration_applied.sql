-- What has been applied, in order, and which version of the program is the oldest that may write since then. A ledger of
-- version 0.1.0 has no column for that.
-- Returns rows: int text text timestamptz text?
SELECT version, name, checksum, applied_at, to_jsonb(m) ->> 'compatible_from'
FROM schema_migration m
ORDER BY version
