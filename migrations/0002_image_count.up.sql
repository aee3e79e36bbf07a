-- Counts of images, kept while they are written, so that no one ever counts rows. Per day of last access, so that
-- "how many were not accessed for N days" is a sum as well. Each writer adds to one of 16 slots, so that parallel
-- writers seldom wait for one row; a slot alone may be negative, only the sum over slots means anything.
CREATE TABLE image_count (
    collection text COLLATE "C" NOT NULL,
    accessed_on date NOT NULL, -- in UTC
    slot smallint NOT NULL,
    images bigint NOT NULL,
    bytes bigint NOT NULL,
    linked_images bigint NOT NULL, -- of these, images kept in object storage
    linked_bytes bigint NOT NULL,
    trash_images bigint NOT NULL, -- beside these, images in the trash
    trash_bytes bigint NOT NULL,
    PRIMARY KEY (collection, accessed_on, slot)
) WITH (fillfactor = 50);

-- Statement triggers with transition tables: a batch of 64 images adds once. An INSERT, a DELETE and an UPDATE differ
-- only in which rows count as +1 and which as -1, so their functions are made from one text. A statement that moves
-- no count (a change of content type, say) writes nothing.
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
            CREATE FUNCTION image_count_%1$s() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
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
        EXECUTE format('CREATE TRIGGER image_count_%1$s AFTER %1$s ON image_cache %2$s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION image_count_%1$s()', part.column1, part.column2);
    END LOOP;
END
$make$;

CREATE FUNCTION image_count_truncate() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    TRUNCATE image_count;
    RETURN NULL;
END
$$;

CREATE TRIGGER image_count_truncate
    AFTER TRUNCATE ON image_cache FOR EACH STATEMENT EXECUTE FUNCTION image_count_truncate();
