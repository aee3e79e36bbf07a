-- How things stand: the snapshot, how far transactions have come, and which table this is: after a restore from a dump
-- it is another one.
-- Returns one row: text bigint bigint?
SELECT s::text, pg_snapshot_xmax(s)::text::bigint, to_regclass('image_cache')::oid::bigint
FROM pg_current_snapshot() AS s
