-- As image_search_path.sql, the largest first, behind $15 $16 (file_size, id).
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz? bigint bool bool
SELECT *
FROM (
\ir image_search.inc
    WHERE (file_size, id) < ($15::bigint, $16::bigint) AND file_size >= $8::bigint
    WINDOW w AS (ORDER BY file_size DESC, id DESC)
    ORDER BY file_size DESC, id DESC
    LIMIT 2000
) AS seen
WHERE is_meant OR is_last OR n = 2000
ORDER BY file_size DESC, id DESC
LIMIT $14::bigint
