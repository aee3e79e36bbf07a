-- The same content under a new modification time, for a batch of images: the bytes stay as they are. Arrays with one
-- element an image: $1 ids, $2 times, $3 nanoseconds behind them, $4 when each was changed last, as was seen, in
-- microseconds since 1970; one that was changed since is left as it is. Coming out of the trash is a change; for the
-- others no column is named that would make this one. Returns which elements were written, counted from 0.
-- Safe to send twice.
-- Returns rows: bigint
WITH touched AS (
    SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::bigint[])
                  WITH ORDINALITY AS t (id, mtime, ns, seen, number)
), revived AS (
    UPDATE image_cache i
    SET source_mtime = touched.mtime, source_mtime_ns = touched.ns, deleted_at = NULL, last_accessed = now()
    FROM touched
    WHERE i.id = touched.id AND i.deleted_at IS NOT NULL
          AND (extract(epoch FROM i.updated_at) * 1000000)::bigint = touched.seen
    RETURNING number
), kept AS (
    UPDATE image_cache i
    SET source_mtime = touched.mtime, source_mtime_ns = touched.ns
    FROM touched
    WHERE i.id = touched.id AND i.deleted_at IS NULL
          AND (extract(epoch FROM i.updated_at) * 1000000)::bigint = touched.seen
    RETURNING number
)
SELECT number - 1 FROM revived UNION ALL SELECT number - 1 FROM kept
