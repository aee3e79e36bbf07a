-- Every instance hears of what changes here, whoever changes it, and drops what it holds of that (job/feed.h).

-- What caches shall forget although no row of theirs has changed, kept for a day. By hand:
--     INSERT INTO cache_invalidation (pattern) VALUES ('image:path:media:avatars/*');
CREATE TABLE cache_invalidation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- As fnmatch(3) has it, over image:path:<collection>:<path> and image:<type>:<object>:<variant>.
    pattern text NOT NULL CHECK (octet_length(pattern) BETWEEN 1 AND 8199),
    made_at timestamptz NOT NULL DEFAULT now(),
    changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);

CREATE INDEX cache_invalidation_changed ON cache_invalidation (changed_xid, id);
CREATE INDEX cache_invalidation_made ON cache_invalidation (made_at);

-- The feed reads in pages: without the id, each page of what one transaction did would be sorted out of all of it.
DROP INDEX image_cache_changed, image_tombstone_changed;
CREATE INDEX image_cache_changed ON image_cache (changed_xid, id);
CREATE INDEX image_tombstone_changed ON image_tombstone (changed_xid, id);

-- A commit that notifies takes a lock of the whole server, so there is one notification a transaction, without a
-- payload: who hears it reads what changed.
CREATE FUNCTION image_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY perdura_image;
    RETURN NULL;
END
$$;

CREATE FUNCTION image_listen() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LISTEN perdura_image;
END
$$;

CREATE TRIGGER image_notify_insert AFTER INSERT ON image_cache FOR EACH STATEMENT EXECUTE FUNCTION image_notify();
CREATE TRIGGER image_notify_delete AFTER DELETE ON image_cache FOR EACH STATEMENT EXECUTE FUNCTION image_notify();
-- The columns of image_cache_mark_changed: a touch of last_accessed is no news.
CREATE TRIGGER image_notify_update
    AFTER UPDATE OF collection, original_path, content_type, object_id, variant, image_data, image_url, file_size,
                    content_type_header, sha256, deleted_at
    ON image_cache FOR EACH STATEMENT EXECUTE FUNCTION image_notify();
CREATE TRIGGER image_notify_invalidation
    AFTER INSERT ON cache_invalidation FOR EACH STATEMENT EXECUTE FUNCTION image_notify();

-- No row is left to tell of a TRUNCATE.
CREATE FUNCTION image_notify_truncate() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO cache_invalidation (pattern) VALUES ('*');
    RETURN NULL;
END
$$;

CREATE TRIGGER image_notify_truncate
    AFTER TRUNCATE ON image_cache FOR EACH STATEMENT EXECUTE FUNCTION image_notify_truncate();

-- In the trash because nobody asked for it, and not because somebody deleted it: its files stay.
ALTER TABLE image_cache ADD COLUMN cleaned_up boolean NOT NULL DEFAULT false;

-- As in 0001, and: what comes out of the trash is not cleaned up any more; other content that somebody writes without
-- a word about its time of modification is newer than any file, or copies of the old one would be taken for it. Perdura
-- itself always tells the time, and sets last_accessed along with it.
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
