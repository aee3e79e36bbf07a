-- The server's version, the size of all that belongs to images (indexes and TOAST included), the newest migration.
SELECT current_setting('server_version'), pg_total_relation_size('image_cache'),
       (SELECT max(version) FROM schema_migration)::bigint
