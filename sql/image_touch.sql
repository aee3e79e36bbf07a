-- The same content under a new modification time, for a batch of images: the bytes stay as they are. Arrays with one
-- element an image: $1 ids, $2 times, $3 nanoseconds behind them.
UPDATE image_cache i
SET source_mtime = touched.mtime, source_mtime_ns = touched.ns, deleted_at = NULL
FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[]) AS touched (id, mtime, ns)
WHERE i.id = touched.id
