-- The statement that drops what an interrupted CREATE INDEX CONCURRENTLY has left. $1 the index.
-- Returns at most one row: text
SELECT format('DROP INDEX CONCURRENTLY %s', indexrelid::regclass)
FROM pg_index
WHERE indexrelid = to_regclass($1::text) AND NOT indisvalid
