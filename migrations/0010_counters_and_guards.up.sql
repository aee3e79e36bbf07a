-- Counters that delay no writer and can be repaired, sequences that can be repaired, and guards: version 0.1.0 keeps
-- writing to this schema during a rolling deploy and after a rollback, and must not do there what later versions have
-- promised not to do. image_cache is locked for a moment; none of its rows is read.

-- When the cleaning moved the row to the trash. Null although cleaned_up is set: version 0.1.0 did, which by default
-- trashed what had not been requested for 90 days. Nobody has decided about such rows yet; see image_cache_guard_purge.
ALTER TABLE image_cache ADD COLUMN cleaned_at timestamptz;

-- As in 0006; a row that leaves the trash is not cleaned up any more.
CREATE OR REPLACE FUNCTION image_cache_mark_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_xid := pg_current_xact_id();
    NEW.updated_at := now();
    IF NEW.deleted_at IS NULL THEN
        NEW.cleaned_up := false;
        NEW.cleaned_at := NULL;
    END IF;
    IF NEW.sha256 <> OLD.sha256
       AND (NEW.source_mtime, NEW.source_mtime_ns, NEW.last_accessed)
           = (OLD.source_mtime, OLD.source_mtime_ns, OLD.last_accessed) THEN
        NEW.source_mtime := clock_timestamp();
        NEW.source_mtime_ns := 0;
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION image_guard_skip() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN NULL;
END
$$;

-- The daily cleaning of 0.1.0 trashes live rows, and it alone sets cleaned_up without cleaned_at. It finds nothing to
-- trash then, and ends.
CREATE TRIGGER image_cache_guard_cleaning
    BEFORE UPDATE OF deleted_at, cleaned_up ON image_cache FOR EACH ROW
    WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL
          AND NEW.cleaned_up AND NOT OLD.cleaned_up AND NEW.cleaned_at IS NULL)
    EXECUTE FUNCTION image_guard_skip();

-- Rows that 0.1.0 has trashed and that nobody has decided about are purged by no timer. The text of the statement is
-- all that tells that version's purge (sql/trash_purge.sql) from a DELETE that somebody wants.
CREATE FUNCTION image_guard_purge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF starts_with(current_query(), '-- Deletes for good a batch of what lies in the trash') THEN
        RETURN NULL;
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER image_cache_guard_purge
    BEFORE DELETE ON image_cache FOR EACH ROW
    WHEN (OLD.deleted_at IS NOT NULL AND OLD.cleaned_up AND OLD.cleaned_at IS NULL)
    EXECUTE FUNCTION image_guard_purge();

-- 0.1.0 forgets tombstones after a day; they are kept for 400 days.
CREATE TRIGGER image_tombstone_guard
    BEFORE DELETE ON image_tombstone FOR EACH ROW
    WHEN (OLD.buried_at > now() - interval '400 days')
    EXECUTE FUNCTION image_guard_skip();

-- Counters: each transaction adds to rows of its own (slot is its transaction id), so that no writer ever waits for
-- another one, however long that keeps its transaction open. Only the sum over the slots of a collection and day means
-- anything. One statement in sixteen adds up the committed rows of the groups that it has changed.
ALTER TABLE image_count ALTER COLUMN slot TYPE bigint;

-- Replaces the committed rows of these groups by one; rows that another transaction is replacing are left to it.
CREATE FUNCTION image_count_fold(collections text[], days date[]) RETURNS void
    LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH part AS (
        SELECT c.collection, c.accessed_on, c.slot
        FROM unnest(collections, days) AS g (collection, accessed_on)
        JOIN image_count c ON c.collection = g.collection COLLATE "C" AND c.accessed_on = g.accessed_on
        FOR UPDATE OF c SKIP LOCKED
    ), gone AS (
        DELETE FROM image_count c
        USING part p
        WHERE c.collection = p.collection AND c.accessed_on = p.accessed_on AND c.slot = p.slot
        RETURNING c.*
    )
    INSERT INTO image_count
    SELECT collection, accessed_on, pg_current_xact_id()::text::bigint, sum(images), sum(bytes), sum(linked_images),
           sum(linked_bytes), sum(trash_images), sum(trash_bytes)
    FROM gone
    GROUP BY collection, accessed_on
    HAVING (sum(images), sum(bytes), sum(linked_images), sum(linked_bytes), sum(trash_images), sum(trash_bytes))
           IS DISTINCT FROM (0, 0, 0, 0, 0, 0)
$$;

DO $make$
DECLARE
    part record;
BEGIN
    FOR part IN VALUES
        ('insert', 'SELECT 1 AS sign, collection, last_accessed, file_size, deleted_at, image_url FROM new_rows'),
        ('delete', 'SELECT -1 AS sign, collection, last_accessed, file_size, deleted_at, image_url FROM old_rows'),
        ('update', 'SELECT 1 AS sign, collection, last_accessed, file_size, deleted_at, image_url FROM new_rows'
                   ' UNION ALL '
                   'SELECT -1, collection, last_accessed, file_size, deleted_at, image_url FROM old_rows')
    LOOP
        EXECUTE format($fn$
            CREATE OR REPLACE FUNCTION image_count_%1$s() RETURNS trigger
                LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
            DECLARE
                collections text[];
                days date[];
            BEGIN
                WITH delta AS (
                    SELECT collection, (last_accessed AT TIME ZONE 'UTC')::date AS accessed_on,
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
                ), written AS (
                    INSERT INTO image_count AS c
                    SELECT collection, accessed_on, pg_current_xact_id()::text::bigint, images, bytes, linked_images,
                           linked_bytes, trash_images, trash_bytes
                    FROM delta
                    WHERE (images, bytes, linked_images, linked_bytes, trash_images, trash_bytes)
                          IS DISTINCT FROM (0, 0, 0, 0, 0, 0)
                    ON CONFLICT (collection, accessed_on, slot) DO UPDATE SET
                        images = c.images + EXCLUDED.images,
                        bytes = c.bytes + EXCLUDED.bytes,
                        linked_images = c.linked_images + EXCLUDED.linked_images,
                        linked_bytes = c.linked_bytes + EXCLUDED.linked_bytes,
                        trash_images = c.trash_images + EXCLUDED.trash_images,
                        trash_bytes = c.trash_bytes + EXCLUDED.trash_bytes
                    RETURNING c.collection, c.accessed_on
                )
                SELECT array_agg(w.collection), array_agg(w.accessed_on) INTO collections, days FROM written w;
                -- Under other isolation levels this could fail where a concurrent transaction did the same.
                IF collections IS NOT NULL AND random() < 0.0625
                   AND current_setting('transaction_isolation') = 'read committed' THEN
                    PERFORM image_count_fold(collections, days);
                END IF;
                RETURN NULL;
            END
            $body$
        $fn$, part.column1, part.column2);
    END LOOP;
END
$make$;

-- Makes the counters right where rows came or went without the triggers (a data-only restore, a logical subscriber, a
-- TRUNCATE of the counters). Rows and counters are read in one snapshot and the difference is added, so that it is
-- exact whatever is written meanwhile, and nothing waits for it. Returns in how many groups the counters were wrong;
-- null while another session is counting.
CREATE FUNCTION image_count_recount() RETURNS bigint LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    corrected bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('perdura recount ' || 'image_count'::regclass::oid, 0)) THEN
        RETURN NULL;
    END IF;
    INSERT INTO image_count AS c
    SELECT collection, accessed_on, pg_current_xact_id()::text::bigint, sum(images), sum(bytes), sum(linked_images),
           sum(linked_bytes), sum(trash_images), sum(trash_bytes)
    FROM (
        SELECT collection, (last_accessed AT TIME ZONE 'UTC')::date AS accessed_on,
               count(*) FILTER (WHERE deleted_at IS NULL) AS images,
               coalesce(sum(file_size) FILTER (WHERE deleted_at IS NULL), 0) AS bytes,
               count(*) FILTER (WHERE deleted_at IS NULL AND image_url IS NOT NULL) AS linked_images,
               coalesce(sum(file_size) FILTER (WHERE deleted_at IS NULL AND image_url IS NOT NULL), 0) AS linked_bytes,
               count(*) FILTER (WHERE deleted_at IS NOT NULL) AS trash_images,
               coalesce(sum(file_size) FILTER (WHERE deleted_at IS NOT NULL), 0) AS trash_bytes
        FROM image_cache
        GROUP BY 1, 2
        UNION ALL
        SELECT collection, accessed_on, -images, -bytes, -linked_images, -linked_bytes, -trash_images, -trash_bytes
        FROM image_count
    ) AS difference
    GROUP BY collection, accessed_on
    HAVING (sum(images), sum(bytes), sum(linked_images), sum(linked_bytes), sum(trash_images), sum(trash_bytes))
           IS DISTINCT FROM (0, 0, 0, 0, 0, 0)
    ON CONFLICT (collection, accessed_on, slot) DO UPDATE SET
        images = c.images + EXCLUDED.images,
        bytes = c.bytes + EXCLUDED.bytes,
        linked_images = c.linked_images + EXCLUDED.linked_images,
        linked_bytes = c.linked_bytes + EXCLUDED.linked_bytes,
        trash_images = c.trash_images + EXCLUDED.trash_images,
        trash_bytes = c.trash_bytes + EXCLUDED.trash_bytes;
    GET DIAGNOSTICS corrected = ROW_COUNT;
    PERFORM image_count_fold(array_agg(g.collection), array_agg(g.accessed_on))
    FROM (SELECT collection, accessed_on FROM image_count GROUP BY 1, 2) AS g;
    RETURN corrected;
END
$$;

-- Moves the sequence behind a table's id past the largest id, where rows came without it (a logical subscriber, a
-- data-only restore). Never backwards, whatever other sessions take meanwhile: nextval does the last steps. Whether it
-- was behind. The owner's rights, because who may insert rows need not have any on the sequence.
CREATE FUNCTION image_sequence_advance(relation regclass) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    sequence regclass := pg_get_serial_sequence(relation::text, 'id');
    largest bigint;
    reached bigint;
BEGIN
    EXECUTE format('SELECT max(id) FROM %s', relation) INTO largest;
    IF sequence IS NULL OR largest IS NULL OR largest <= coalesce(pg_sequence_last_value(sequence), 0) THEN
        RETURN false;
    END IF;
    LOOP
        reached := nextval(sequence);
        EXIT WHEN reached >= largest;
        IF largest - reached > 10000 THEN
            PERFORM setval(sequence, largest - 1000);
        END IF;
    END LOOP;
    RETURN true;
END
$$;
