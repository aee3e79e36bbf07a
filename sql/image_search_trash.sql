-- As image_search_path.sql, of the trash, last deleted first, behind $15 $16 (deleted_at, id).
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz? bigint bool bool
SELECT *
FROM (
\ir image_search.inc
    WHERE (deleted_at, id) < ($15::timestamptz, $16::bigint) AND deleted_at IS NOT NULL
    WINDOW w AS (ORDER BY deleted_at DESC, id DESC)
    ORDER BY deleted_at DESC, id DESC
    LIMIT 2000
) AS seen
WHERE is_meant OR is_last OR n = 2000
ORDER BY deleted_at DESC, id DESC
LIMIT $14::bigint
