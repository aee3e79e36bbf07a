-- The GRANT statements that our role lacks, in one line; null: none. Tables are found wherever they are: in a schema that
-- the role may not use they are not visible. Without any tables it is the privilege to create them. Functions are those
-- that statements call: the server asks for no privilege on one that a trigger calls.
-- Returns one row: text?
WITH place AS (
    SELECT c.oid, c.relname, n.oid AS schema_id, n.nspname AS schema
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.oid = (
        SELECT t.relnamespace FROM pg_class t
        WHERE t.relname = 'image_cache' AND t.relkind = 'r'
        ORDER BY pg_table_is_visible(t.oid) DESC, t.oid LIMIT 1)
), lacking AS (
    SELECT schema, relname, string_agg(privilege, ', ' ORDER BY n) AS privileges
    FROM place, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS p (privilege, n)
    WHERE NOT has_table_privilege(place.oid, privilege) AND has_schema_privilege(schema_id, 'USAGE')
          AND relname IN ('image_cache', 'image_count', 'image_tombstone', 'image_object', 'cache_invalidation', 'upload',
                          'upload_part', 'job_run', 'access_hour', 'admin_session', 'schedule', 'schema_migration',
                          'instance', 'cleanup_day')
    GROUP BY schema, relname
), forbidden AS (
    SELECT nspname AS schema, proname, pg_get_function_identity_arguments(p.oid) AS arguments
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.oid IN (SELECT schema_id FROM place) AND has_schema_privilege(n.oid, 'USAGE')
          AND proname IN ('image_count_fold', 'image_count_recount', 'image_listen', 'image_sequence_advance')
          AND NOT has_function_privilege(p.oid, 'EXECUTE')
), grants AS (
    SELECT DISTINCT format('GRANT USAGE ON SCHEMA %I TO %I', schema, current_user) AS statement
    FROM place WHERE NOT has_schema_privilege(schema_id, 'USAGE')
    UNION ALL
    SELECT format('GRANT %s ON %s TO %I', privileges, string_agg(format('%I.%I', schema, relname), ', ' ORDER BY relname),
                  current_user)
    FROM lacking GROUP BY privileges
    UNION ALL
    SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I',
                  string_agg(format('%I.%I(%s)', schema, proname, arguments), ', ' ORDER BY proname), current_user)
    FROM forbidden HAVING count(*) > 0
    UNION ALL
    SELECT format('GRANT CREATE ON SCHEMA %I TO %I', current_schema(), current_user)
    WHERE NOT EXISTS (SELECT FROM place) AND NOT has_schema_privilege(current_schema(), 'CREATE')
)
SELECT string_agg(statement, '; ' ORDER BY statement) FROM grants
