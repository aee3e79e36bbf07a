-- Moves sequences that are behind their rows (a logical subscriber, a data-only restore): of which tables; null: of none.
-- Safe to send twice.
-- Returns one row: text?
SELECT string_agg(t::text, ', ') FILTER (WHERE image_sequence_advance(t))
FROM unnest(ARRAY['image_cache', 'image_tombstone', 'upload', 'job_run', 'cache_invalidation']::regclass[]) AS t
