CREATE OR REPLACE FUNCTION image_cache_mark_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_xid := pg_current_xact_id();
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
ALTER TABLE image_cache DROP COLUMN cleaned_up;
DROP TRIGGER image_notify_truncate ON image_cache;
DROP TRIGGER image_notify_update ON image_cache;
DROP TRIGGER image_notify_delete ON image_cache;
DROP TRIGGER image_notify_insert ON image_cache;
DROP INDEX image_cache_changed, image_tombstone_changed;
CREATE INDEX image_cache_changed ON image_cache (changed_xid);
CREATE INDEX image_tombstone_changed ON image_tombstone (changed_xid);
DROP TABLE cache_invalidation;
DROP FUNCTION image_notify_truncate();
DROP FUNCTION image_listen();
DROP FUNCTION image_notify();
