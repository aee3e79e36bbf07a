-- How much trash_purge.sql would delete: what lies in the trash for more than $1 days.
-- Returns one row: bigint bigint
SELECT count(*), coalesce(sum(file_size), 0)::bigint
FROM image_cache
WHERE deleted_at < now() - make_interval(days => $1::bigint::int)
      AND (cleaned_at IS NOT NULL OR NOT cleaned_up)
