-- As feed_images: the keys of rows that are gone.
-- Returns rows: bigint text text text? text? text? bigint
SELECT id, collection, original_path, content_type, object_id, variant, changed_xid::text::bigint
FROM (
    (SELECT id, collection, original_path, content_type, object_id, variant, changed_xid
     FROM image_tombstone
     WHERE changed_xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
           AND (changed_xid, id) > ($2::bigint::text::xid8, $3::bigint)
     ORDER BY changed_xid, id
     LIMIT $4::bigint)
    UNION ALL
    (SELECT id, collection, original_path, content_type, object_id, variant, changed_xid
     FROM image_tombstone
     WHERE changed_xid >= pg_snapshot_xmax($1::text::pg_snapshot)
           AND changed_xid < pg_snapshot_xmax(pg_current_snapshot())
           AND (changed_xid, id) > ($2::bigint::text::xid8, $3::bigint)
     ORDER BY changed_xid, id
     LIMIT $4::bigint)
) AS c
ORDER BY c.changed_xid, id
LIMIT $4::bigint
