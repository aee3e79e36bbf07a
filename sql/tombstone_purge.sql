-- Forgets keys of deleted rows after a day: every cache has heard of them by then.
DELETE FROM image_tombstone
WHERE buried_at < now() - interval '1 day'
