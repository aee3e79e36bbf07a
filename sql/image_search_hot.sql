-- As image_search_path.sql, most recently used first, behind $15 $16 $17 (last_accessed, access_count, id).
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz? bigint bool bool
SELECT *
FROM (
\ir image_search.inc
    WHERE (last_accessed, access_count, id) < ($15::timestamptz, $16::bigint, $17::bigint)
          AND last_accessed >= $10::timestamptz AND deleted_at IS NULL
    WINDOW w AS (ORDER BY last_accessed DESC, access_count DESC, id DESC)
    ORDER BY last_accessed DESC, access_count DESC, id DESC
    LIMIT 2000
) AS seen
WHERE is_meant OR is_last OR n = 2000
ORDER BY last_accessed DESC, access_count DESC, id DESC
LIMIT $14::bigint
