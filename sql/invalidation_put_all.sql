-- Tells all instances what to forget. $1 patterns.
-- Safe to send twice.
INSERT INTO cache_invalidation (pattern)
SELECT unnest($1::text[])
