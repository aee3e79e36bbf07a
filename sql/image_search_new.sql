-- As image_search_path.sql, the newest first, behind the id $15.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz? bigint bool bool
SELECT *
FROM (
\ir image_search.inc
    WHERE id < $15::bigint
    WINDOW w AS (ORDER BY id DESC)
    ORDER BY id DESC
    LIMIT 2000
) AS seen
WHERE is_meant OR is_last OR n = 2000
ORDER BY id DESC
LIMIT $14::bigint
