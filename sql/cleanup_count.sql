-- How much was not accessed for $1 days: whole days from the counters, the day that the limit falls into from the
-- index. The limit itself is returned, so that what follows counts from the same moment.
-- Returns one row: timestamptz bigint bigint
WITH edge AS (
    SELECT now() - make_interval(days => $1::bigint::int) AS at
), cold AS (
    SELECT images, bytes
    FROM image_count
    WHERE accessed_on < ((SELECT at FROM edge) AT TIME ZONE 'UTC')::date
    UNION ALL
    SELECT count(*), coalesce(sum(file_size), 0)
    FROM image_cache
    WHERE deleted_at IS NULL AND last_accessed < (SELECT at FROM edge)
          AND last_accessed >= date_trunc('day', (SELECT at FROM edge), 'UTC')
)
SELECT (SELECT at FROM edge), greatest(sum(images), 0)::bigint, greatest(sum(bytes), 0)::bigint
FROM cold
