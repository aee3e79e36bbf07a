-- The keys of rows that are really gone (purged from the trash, or deleted or renamed by hand in SQL), kept for a day,
-- so that caches elsewhere learn of it although the row is no longer there to be read.
CREATE TABLE image_tombstone (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection text COLLATE "C" NOT NULL,
    original_path text COLLATE "C" NOT NULL,
    content_type text,
    object_id text,
    variant text,
    buried_at timestamptz NOT NULL DEFAULT now(),
    changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);

CREATE INDEX image_tombstone_changed ON image_tombstone (changed_xid);
CREATE INDEX image_tombstone_buried ON image_tombstone (buried_at);

CREATE FUNCTION image_tombstone_bury() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO image_tombstone (collection, original_path, content_type, object_id, variant)
    SELECT collection, original_path, content_type, object_id, variant FROM old_rows;
    RETURN NULL;
END
$$;

CREATE TRIGGER image_tombstone_bury
    AFTER DELETE ON image_cache REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION image_tombstone_bury();

CREATE FUNCTION image_tombstone_bury_key() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO image_tombstone (collection, original_path, content_type, object_id, variant)
    VALUES (OLD.collection, OLD.original_path, OLD.content_type, OLD.object_id, OLD.variant);
    RETURN NULL;
END
$$;

-- A row whose key changes leaves its old key behind.
CREATE TRIGGER image_tombstone_bury_key
    AFTER UPDATE OF collection, original_path, content_type, object_id, variant ON image_cache
    FOR EACH ROW
    WHEN ((OLD.collection, OLD.original_path, OLD.content_type, OLD.object_id, OLD.variant)
          IS DISTINCT FROM (NEW.collection, NEW.original_path, NEW.content_type, NEW.object_id, NEW.variant))
    EXECUTE FUNCTION image_tombstone_bury_key();
