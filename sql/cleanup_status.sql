-- The last daily cleaning and what it has announced: when it was, since when uses are known, why they are not, its days,
-- how many images are announced (whole days from the counters, of the last day up to 10,000), when the first of them
-- will be trashed at the earliest; how many images cleanings have put into the trash, and how many of these by version
-- 0.1.0, about which nobody has decided.
-- Returns one row: timestamptz? timestamptz? text? int? bigint timestamptz? bigint bigint
WITH last AS (
    SELECT * FROM cleanup_day WHERE checked_at IS NOT NULL AND at <= now() ORDER BY at DESC LIMIT 1
), oldest AS (
    SELECT last_accessed AS at FROM image_cache WHERE deleted_at IS NULL ORDER BY last_accessed LIMIT 1
), day AS (
    SELECT at, announced, at - lag(at) OVER (ORDER BY at) > interval '3 days' AS is_late
    FROM cleanup_day
    WHERE checked_at IS NOT NULL AND at <= now()
), first AS (
    SELECT min(day.at) AS at
    FROM day, oldest
    WHERE day.at > coalesce((SELECT max(at) FROM day WHERE announced IS NULL), '-infinity')
          AND day.at >= coalesce((SELECT max(at) FROM day WHERE is_late), '-infinity')
          AND day.announced > oldest.at
), images AS (
    SELECT greatest(sum(images), 0)::bigint AS count
    FROM (
        SELECT images FROM image_count, last WHERE accessed_on < (last.announced AT TIME ZONE 'UTC')::date
        UNION ALL
        SELECT count(*) FROM (
            SELECT FROM image_cache, last
            WHERE deleted_at IS NULL AND last_accessed < last.announced
                  AND last_accessed >= date_trunc('day', last.announced, 'UTC')
            LIMIT 10000
        ) AS edge
    ) AS part
), cleaned AS (
    SELECT count(*) AS all, count(*) FILTER (WHERE cleaned_at IS NULL) AS undecided
    FROM image_cache
    WHERE deleted_at IS NOT NULL AND cleaned_up
)
SELECT last.at, last.use_since, last.use_error, last.days, coalesce(images.count, 0),
       CASE WHEN images.count > 0
            THEN greatest(oldest.at + make_interval(days => last.days), first.at + interval '7 days') END,
       cleaned.all, cleaned.undecided
FROM images, cleaned, first
LEFT JOIN last ON true
LEFT JOIN oldest ON true
