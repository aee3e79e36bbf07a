-- As image_search_path.sql, of the rows that sql/image_search_few_count.sql counts, which are all sorted: in the order
-- $15 (path, hottest, newest, largest, deleted); behind $16 $17 $18 (the order's number, access_count, id) or, of paths,
-- from $19 $20 on. The limits are never met: they tell the planner that there is little to do.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz? bigint bool bool
SELECT *
FROM (
\ir image_search.inc
    CROSS JOIN LATERAL (
        SELECT CASE $15::text
                   WHEN 'hottest' THEN (extract(epoch FROM last_accessed) * 1000000)::bigint
                   WHEN 'deleted' THEN (extract(epoch FROM deleted_at) * 1000000)::bigint
                   WHEN 'largest' THEN file_size
                   ELSE 0
               END AS number,
               CASE $15::text WHEN 'hottest' THEN access_count ELSE 0 END AS uses,
               CASE $15::text WHEN 'path' THEN collection END AS folder,
               CASE $15::text WHEN 'path' THEN original_path END AS path
    ) AS place
    WHERE id = ANY (ARRAY(
              (SELECT id FROM image_cache WHERE $6::text IS NULL AND content_type = $5::text LIMIT 4000)
              UNION ALL
              (SELECT id FROM image_cache WHERE content_type = $5::text AND object_id = $6::text LIMIT 4000)
              UNION ALL
              (SELECT id FROM image_cache
               WHERE $5::text IS NULL AND $2::text = 'large' AND image_url IS NOT NULL LIMIT 4000)
              UNION ALL
              (SELECT id FROM image_cache
               WHERE $5::text IS NULL AND $2::text = 'trash' AND deleted_at IS NOT NULL LIMIT 4000)
          ))
          AND CASE $15::text
                  WHEN 'path' THEN (folder, path) >= ($19::text, $20::text)
                  ELSE (number, uses, id) < ($16::bigint, $17::bigint, $18::bigint)
              END
    WINDOW w AS (ORDER BY folder, path, number DESC, uses DESC, id DESC)
) AS seen
WHERE is_meant OR is_last
ORDER BY n
LIMIT $14::bigint
