-- Tells all instances what to forget. $1 patterns.
INSERT INTO cache_invalidation (pattern)
SELECT unnest($1::text[])
