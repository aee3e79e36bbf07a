-- Forgets the names of deleted rows after 400 days: by then every instance and every returning disk has read them.
DELETE FROM image_tombstone
WHERE buried_at < now() - interval '400 days'
