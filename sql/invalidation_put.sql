-- Makes every instance forget what matches a pattern. $1 pattern.
-- Safe to send twice.
INSERT INTO cache_invalidation (pattern)
VALUES ($1::text)
