-- The server's version, the size of all that belongs to images (indexes and TOAST included), the newest migration, how
-- many feeds listen, the oldest versions of the program that may write (null: any), whether the database is read-only,
-- whether our role may write.
-- The condition is always true, and reads nothing: the server refuses it where we may not read images, or not all of them.
-- Returns one row: text bigint bigint? bigint text? bool bool
SELECT current_setting('server_version'), pg_total_relation_size('image_cache'),
       (SELECT max(version) FROM schema_migration)::bigint,
       (SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'perdura feed'),
       (SELECT string_agg(to_jsonb(m) ->> 'compatible_from', ' ') FROM schema_migration m),
       current_setting('transaction_read_only') = 'on',
       has_table_privilege('image_cache', 'INSERT') AND has_table_privilege('image_cache', 'UPDATE')
           AND has_table_privilege('image_count', 'INSERT')
           AND coalesce(has_function_privilege(to_regprocedure('image_count_fold(text[], date[])'), 'EXECUTE'), true)
WHERE NOT EXISTS (SELECT FROM image_cache WHERE false)
