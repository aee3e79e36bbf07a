-- One row an image. The row is the durable copy: up to PERDURA_INLINE_MAX its bytes are in image_data, above that
-- image_url names the object that holds them.
CREATE TABLE image_cache (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection text COLLATE "C" NOT NULL DEFAULT 'media',
    original_path text COLLATE "C" NOT NULL,
    -- The model object that the image belongs to, when it belongs to one: loyalty.product, 42, cover.
    content_type text,
    object_id text,
    variant text,
    -- Base64 without line breaks. EXTERNAL: compressing the base64 of a JPEG burns CPU and saves nothing.
    image_data text,
    image_url text,
    file_size bigint NOT NULL,
    content_type_header text NOT NULL,
    sha256 bytea NOT NULL,
    encoding text NOT NULL DEFAULT 'base64',
    width int,
    height int,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    last_accessed timestamptz NOT NULL DEFAULT now(),
    access_count bigint NOT NULL DEFAULT 0,
    -- The file's modification time. A timestamptz ends at microseconds; the nanoseconds behind them (0 to 999) follow.
    source_mtime timestamptz NOT NULL DEFAULT now(),
    source_mtime_ns smallint NOT NULL DEFAULT 0,
    -- Set: the image is in the trash.
    deleted_at timestamptz,
    changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),

    CONSTRAINT image_cache_one_place CHECK (num_nonnulls(image_data, image_url) = 1),
    CONSTRAINT image_cache_collection CHECK (octet_length(collection) BETWEEN 1 AND 64),
    CONSTRAINT image_cache_path CHECK (octet_length(original_path) BETWEEN 1 AND 2048),
    CONSTRAINT image_cache_file_size CHECK (file_size > 0),
    -- octet_length reads the length from the TOAST pointer; length would fetch and scan the whole value.
    CONSTRAINT image_cache_data_size CHECK (octet_length(image_data) = (file_size + 2) / 3 * 4),
    CONSTRAINT image_cache_sha256 CHECK (octet_length(sha256) = 32),
    CONSTRAINT image_cache_encoding CHECK (encoding = 'base64'),
    CONSTRAINT image_cache_pixels CHECK (width >= 0 AND height >= 0),
    CONSTRAINT image_cache_mtime_ns CHECK (source_mtime_ns BETWEEN 0 AND 999)
);

ALTER TABLE image_cache ALTER COLUMN image_data SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX image_cache_key ON image_cache (collection, original_path);
CREATE INDEX image_cache_entity ON image_cache (content_type, object_id, variant) WHERE content_type IS NOT NULL;
-- Hottest first: the order of restore; read from its other end, the order of cleanup.
CREATE INDEX image_cache_hot ON image_cache (last_accessed DESC, access_count DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX image_cache_trash ON image_cache (deleted_at DESC, id DESC) WHERE deleted_at IS NOT NULL;
CREATE INDEX image_cache_changed ON image_cache (changed_xid);

-- Whoever changes an image, psql included, moves its row to the end of the change order. A touch of last_accessed
-- names none of these columns and costs nothing here.
CREATE FUNCTION image_cache_mark_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_xid := pg_current_xact_id();
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TRIGGER image_cache_mark_changed
    BEFORE UPDATE OF collection, original_path, content_type, object_id, variant, image_data, image_url, file_size,
                     content_type_header, sha256, deleted_at
    ON image_cache FOR EACH ROW EXECUTE FUNCTION image_cache_mark_changed();
