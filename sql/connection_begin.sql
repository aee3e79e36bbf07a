-- The first statement on a connection, and behind a pooler again now and then. $1 the backend that let us in: when
-- another one answers, there is a pooler, and a setting would be another client's as well.
-- A backend's malloc (glibc's) gives the top of its heap back to the kernel whenever 128 KiB of it are free, until it
-- has freed one larger block, after which it keeps twice that: see mallopt(3), M_MMAP_THRESHOLD, about the dynamic
-- threshold. Before that, reading an image of 60 KB or more costs three brk(2), page faults for all of its text, and a
-- quarter more time. After a block of 1 MiB that begins at 500 KB (after 256 KiB, at 100 KB).
-- A backend that we gave up while the network was cut does not hear of it, and would keep its place for two hours:
-- let it look sooner whether we are still there.
-- Row level security would hide rows silently. With row_security off the server refuses such statements instead; the
-- third column names a table that it applies to now. All tables of ours are among these.
-- What is acknowledged is on the server's disk: synchronous_commit=off, which a role or a database may have, does not
-- apply to us.
-- Returns one row: int bool text? text? text? text? text? text?
SELECT octet_length(repeat(repeat('x', 1024), 1024)), direct,
       (SELECT name
        FROM unnest(ARRAY['access_hour', 'admin_session', 'cache_invalidation', 'cleanup_day', 'image_cache', 'image_count',
                          'image_object', 'image_tombstone', 'instance', 'job_run', 'schedule', 'schema_migration', 'upload',
                          'upload_part']) AS ours (name)
        WHERE pg_catalog.row_security_active(pg_catalog.to_regclass(name)::oid)
        ORDER BY name
        LIMIT 1),
       CASE WHEN direct THEN set_config('row_security', 'off', false) END,
       CASE WHEN direct THEN set_config('tcp_keepalives_idle', '20', false) END,
       CASE WHEN direct THEN set_config('tcp_keepalives_interval', '10', false) END,
       CASE WHEN direct THEN set_config('tcp_keepalives_count', '3', false) END,
       CASE WHEN direct AND current_setting('synchronous_commit') = 'off'
            THEN set_config('synchronous_commit', 'on', false) END
FROM (SELECT pg_backend_pid() = $1::bigint) AS session (direct)
