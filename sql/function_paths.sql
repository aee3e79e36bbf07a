-- The statements that set the search path of our functions anew where it lacks the schema that they are in (a schema that
-- was renamed, a dump that was restored into another one); null: none. Of functions that our role owns.
-- Returns one row: text?
SELECT string_agg(format('ALTER FUNCTION %I.%I(%s) SET search_path FROM CURRENT', n.nspname, p.proname,
                         pg_get_function_identity_arguments(p.oid)), '; ' ORDER BY p.proname)
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_proc p ON p.pronamespace = n.oid
CROSS JOIN LATERAL (
    SELECT string_to_array(replace(substr(setting, length('search_path=') + 1), '"', ''), ', ')
    FROM unnest(p.proconfig) AS setting
    WHERE starts_with(setting, 'search_path=')
) AS path (schemas)
WHERE t.oid = to_regclass('image_cache')
      AND p.proname IN ('image_count_delete', 'image_count_fold', 'image_count_insert', 'image_count_recount',
                        'image_count_truncate', 'image_count_update', 'image_notify_truncate', 'image_sequence_advance',
                        'image_tombstone_bury', 'image_tombstone_bury_key')
      AND pg_has_role(p.proowner, 'USAGE')
      AND n.nspname::text <> ALL (schemas) AND NOT (n.nspname = current_user AND '$user' = ANY (schemas))
