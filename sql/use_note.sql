-- Uses by the app, seen by the access times of files. $1 collection; arrays with one element a file: $2 paths, $3 access
-- times. Linux notes an access only where the last noted one is a day old or the file has changed since (relatime), so
-- the file may have been used until a day after that. An access time that is the row's was set by a restore, or is that
-- of the file's writing: two seconds cover filesystems that round. An image that only the cleaning has put into the
-- trash comes back when it turns out to have been used since. A clock ahead of ours keeps nothing for longer. Rows that
-- somebody else is writing are left for the next time.
-- Returns one row: bigint bigint
WITH seen AS (
    SELECT (SELECT id FROM image_cache WHERE collection = $1::text AND original_path = t.path), t.accessed
    FROM unnest($2::text[], $3::timestamptz[]) AS t (path, accessed)
), used AS (
    SELECT i.id, i.deleted_at, least(seen.accessed + interval '1 day', now()) AS used_at
    FROM seen JOIN image_cache i USING (id)
    WHERE least(seen.accessed + interval '1 day', now()) > i.last_accessed
          AND CASE WHEN i.deleted_at IS NULL
                   THEN seen.accessed NOT BETWEEN i.last_accessed - interval '2 seconds'
                                              AND i.last_accessed + interval '2 seconds'
                   ELSE i.cleaned_up AND seen.accessed > i.last_accessed + interval '2 seconds' END
    ORDER BY i.id
    FOR NO KEY UPDATE OF i SKIP LOCKED
), noted AS (
    UPDATE image_cache i SET last_accessed = used.used_at
    FROM used
    WHERE i.id = used.id AND used.deleted_at IS NULL
    RETURNING 1
), back AS (
    UPDATE image_cache i SET last_accessed = used.used_at, deleted_at = NULL
    FROM used
    WHERE i.id = used.id AND used.deleted_at IS NOT NULL
    RETURNING 1
)
SELECT (SELECT count(*) FROM noted), (SELECT count(*) FROM back)
