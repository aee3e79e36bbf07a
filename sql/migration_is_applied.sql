-- Whether a migration is applied. $1 version.
-- Returns one row: bool
SELECT EXISTS (SELECT FROM schema_migration WHERE version = $1::bigint)
