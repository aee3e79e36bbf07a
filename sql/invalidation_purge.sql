-- Forgets what caches were told to drop after a day: by then every cache has dropped it.
DELETE FROM cache_invalidation
WHERE made_at < now() - interval '1 day'
