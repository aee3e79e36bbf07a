-- An instance whose app may have used files without our knowledge: its host, and why access times tell nothing there
-- (null: it has not noted uses, or not for more than a day before it was seen last). The number of instances is always
-- returned. $1 1: a running instance that has not noted any yet counts as well; else somebody waits for it.
-- Returns one row: bigint text? text?
SELECT (SELECT count(*) FROM instance WHERE seen_at > now() - interval '7 days'), i.host, i.use_error
FROM (VALUES (1)) AS one
LEFT JOIN (
    SELECT host, use_error
    FROM instance
    WHERE seen_at > now() - interval '7 days'
          AND (use_error IS NOT NULL OR use_at < seen_at - interval '25 hours'
               OR use_at IS NULL AND ($1::bigint = 1 OR ended_at IS NOT NULL
                                      OR seen_at < now() - interval '2 minutes'))
    ORDER BY use_error IS NULL, seen_at DESC
    LIMIT 1
) AS i ON true
