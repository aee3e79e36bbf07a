-- Puts a batch of images not accessed since $1 into the trash, the coldest first. $2 limit. Those that were changed since
-- $3 stay: nobody announced them. Rows that someone else is writing are left for the next batch.
-- Returns one row: bigint bigint
WITH cold AS (
    SELECT id
    FROM image_cache
    WHERE deleted_at IS NULL AND last_accessed < $1::timestamptz AND updated_at < $3::timestamptz
    ORDER BY last_accessed, access_count, id
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
), gone AS (
    UPDATE image_cache i
    SET deleted_at = now(), cleaned_up = true, cleaned_at = now()
    FROM cold
    WHERE i.id = cold.id
    RETURNING i.file_size
)
SELECT count(*), coalesce(sum(file_size), 0)::bigint
FROM gone
