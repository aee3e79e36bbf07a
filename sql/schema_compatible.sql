-- The oldest versions of the program that may write, as the applied migrations name them.
-- Returns rows: text
SELECT to_jsonb(m) ->> 'compatible_from'
FROM schema_migration m
WHERE to_jsonb(m) ->> 'compatible_from' IS NOT NULL
