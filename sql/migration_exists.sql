-- Whether any migration was ever applied here.
-- Returns one row: bool
SELECT to_regclass('schema_migration') IS NOT NULL
