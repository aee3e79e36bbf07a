-- Deletes for good a batch of what lies in the trash for more than $1 days, but for rows that version 0.1.0 has cleaned
-- up and that nobody has decided about. $2 limit. The first words are known to image_guard_purge().
-- Returns one row: bigint bigint
WITH old AS (
    SELECT id
    FROM image_cache
    WHERE deleted_at < now() - make_interval(days => $1::bigint::int)
          AND (cleaned_at IS NOT NULL OR NOT cleaned_up)
    ORDER BY deleted_at
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM image_cache i
    USING old
    WHERE i.id = old.id
    RETURNING i.file_size
)
SELECT count(*), coalesce(sum(file_size), 0)::bigint
FROM gone
