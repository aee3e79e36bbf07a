-- As feed_images: what somebody asked caches to forget.
-- Returns rows: bigint text bigint
SELECT id, pattern, changed_xid::text::bigint
FROM (
    (SELECT id, pattern, changed_xid
     FROM cache_invalidation
     WHERE changed_xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
           AND (changed_xid, id) > ($2::bigint::text::xid8, $3::bigint)
     ORDER BY changed_xid, id
     LIMIT $4::bigint)
    UNION ALL
    (SELECT id, pattern, changed_xid
     FROM cache_invalidation
     WHERE changed_xid >= pg_snapshot_xmax($1::text::pg_snapshot)
           AND changed_xid < pg_snapshot_xmax(pg_current_snapshot())
           AND (changed_xid, id) > ($2::bigint::text::xid8, $3::bigint)
     ORDER BY changed_xid, id
     LIMIT $4::bigint)
) AS c
ORDER BY c.changed_xid, id
LIMIT $4::bigint
