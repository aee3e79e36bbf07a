-- A page of the images that were changed since the snapshot $1: by the transactions that were under way then, and by
-- all that have begun since. $2 $3 where the last page ended (changed_xid, id), $4 limit. Rows that came from elsewhere
-- with numbers of transactions yet to come are left out.
-- Returns rows: bigint text text text text? bigint bytea timestamptz smallint text? text? text? int? int? timestamptz
--     timestamptz timestamptz bigint timestamptz? bool bigint
SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
       content_type, object_id, variant, width, height, created_at, updated_at, last_accessed, access_count, deleted_at,
       cleaned_up, changed_xid::text::bigint
FROM (
    (SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
            content_type, object_id, variant, width, height, created_at, updated_at, last_accessed, access_count, deleted_at,
            cleaned_up, changed_xid
     FROM image_cache
     WHERE changed_xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
           AND (changed_xid, id) > ($2::bigint::text::xid8, $3::bigint)
     ORDER BY changed_xid, id
     LIMIT $4::bigint)
    UNION ALL
    (SELECT id, collection, original_path, content_type_header, image_url, file_size, sha256, source_mtime, source_mtime_ns,
            content_type, object_id, variant, width, height, created_at, updated_at, last_accessed, access_count, deleted_at,
            cleaned_up, changed_xid
     FROM image_cache
     WHERE changed_xid >= pg_snapshot_xmax($1::text::pg_snapshot)
           AND changed_xid < pg_snapshot_xmax(pg_current_snapshot())
           AND (changed_xid, id) > ($2::bigint::text::xid8, $3::bigint)
     ORDER BY changed_xid, id
     LIMIT $4::bigint)
) AS c
ORDER BY c.changed_xid, id
LIMIT $4::bigint
