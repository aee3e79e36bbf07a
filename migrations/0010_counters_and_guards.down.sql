-- In the order in which writers lock them.
LOCK TABLE image_cache, image_count, image_tombstone IN ACCESS EXCLUSIVE MODE;

DROP FUNCTION image_sequence_advance(regclass);
DROP FUNCTION image_count_recount();

DO $make$
DECLARE
    part record;
BEGIN
    FOR part IN VALUES
        ('insert', 'REFERENCING NEW TABLE AS new_rows',
         'SELECT 1 AS sign, n.* FROM new_rows n'),
        ('delete', 'REFERENCING OLD TABLE AS old_rows',
         'SELECT -1 AS sign, o.* FROM old_rows o'),
        ('update', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows',
         'SELECT 1 AS sign, n.* FROM new_rows n UNION ALL SELECT -1, o.* FROM old_rows o')
    LOOP
        EXECUTE format($fn$
            CREATE OR REPLACE FUNCTION image_count_%1$s() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
            BEGIN
                INSERT INTO image_count AS c
                SELECT * FROM (
                    SELECT collection, (last_accessed AT TIME ZONE 'UTC')::date, pg_backend_pid() %% 16,
                           coalesce(sum(sign) FILTER (WHERE live), 0) AS images,
                           coalesce(sum(sign * file_size) FILTER (WHERE live), 0) AS bytes,
                           coalesce(sum(sign) FILTER (WHERE live AND linked), 0) AS linked_images,
                           coalesce(sum(sign * file_size) FILTER (WHERE live AND linked), 0) AS linked_bytes,
                           coalesce(sum(sign) FILTER (WHERE NOT live), 0) AS trash_images,
                           coalesce(sum(sign * file_size) FILTER (WHERE NOT live), 0) AS trash_bytes
                    FROM (SELECT sign, collection, last_accessed, file_size,
                                 deleted_at IS NULL AS live, image_url IS NOT NULL AS linked
                          FROM (%2$s) AS moved) AS r
                    GROUP BY 1, 2
                ) AS delta
                WHERE (images, bytes, linked_images, linked_bytes, trash_images, trash_bytes)
                      IS DISTINCT FROM (0, 0, 0, 0, 0, 0)
                ORDER BY 1, 2 -- one lock order for all writers
                ON CONFLICT (collection, accessed_on, slot) DO UPDATE SET
                    images = c.images + EXCLUDED.images,
                    bytes = c.bytes + EXCLUDED.bytes,
                    linked_images = c.linked_images + EXCLUDED.linked_images,
                    linked_bytes = c.linked_bytes + EXCLUDED.linked_bytes,
                    trash_images = c.trash_images + EXCLUDED.trash_images,
                    trash_bytes = c.trash_bytes + EXCLUDED.trash_bytes;
                RETURN NULL;
            END
            $body$
        $fn$, part.column1, part.column3);
    END LOOP;
END
$make$;

-- Slots are 0 to 15 again.
WITH gone AS (
    DELETE FROM image_count RETURNING *
)
INSERT INTO image_count
SELECT collection, accessed_on, 0, sum(images), sum(bytes), sum(linked_images), sum(linked_bytes), sum(trash_images),
       sum(trash_bytes)
FROM gone
GROUP BY collection, accessed_on;
ALTER TABLE image_count ALTER COLUMN slot TYPE smallint;
DROP FUNCTION image_count_fold(text[], date[]);

DROP TRIGGER image_tombstone_guard ON image_tombstone;
DROP TRIGGER image_cache_guard_purge ON image_cache;
DROP TRIGGER image_cache_guard_cleaning ON image_cache;
DROP FUNCTION image_guard_purge();
DROP FUNCTION image_guard_skip();

CREATE OR REPLACE FUNCTION image_cache_mark_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_xid := pg_current_xact_id();
    NEW.updated_at := now();
    NEW.cleaned_up := NEW.cleaned_up AND NEW.deleted_at IS NOT NULL;
    IF NEW.sha256 <> OLD.sha256
       AND (NEW.source_mtime, NEW.source_mtime_ns, NEW.last_accessed)
           = (OLD.source_mtime, OLD.source_mtime_ns, OLD.last_accessed) THEN
        NEW.source_mtime := clock_timestamp();
        NEW.source_mtime_ns := 0;
    END IF;
    RETURN NEW;
END
$$;
ALTER TABLE image_cache DROP COLUMN cleaned_at;
