-- A search in order of path, from $15 $16 (collection, path) to before $17 $18, of at most 2,000 rows; $17 null: to the
-- end. No text sorts behind all others in every encoding, so that the end is behind the last collection there is. The
-- last row examined is always among those returned. $14 limit.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz? bigint bool bool
SELECT *
FROM (
\ir image_search.inc
    WHERE (collection, original_path) >= ($15::text, $16::text)
          AND (collection, original_path)
              < (coalesce($17::text, (SELECT max(collection) || E'\x01' FROM image_cache)), $18::text)
    WINDOW w AS (ORDER BY collection, original_path)
    ORDER BY collection, original_path
    LIMIT 2000
) AS seen
WHERE is_meant OR is_last OR n = 2000
ORDER BY collection, original_path
LIMIT $14::bigint
