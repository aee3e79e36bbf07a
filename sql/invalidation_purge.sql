-- As tombstone_purge.
DELETE FROM cache_invalidation
WHERE made_at < now() - interval '1 day'
