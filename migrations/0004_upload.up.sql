-- Temporary uploads: durable here before the client is answered, then moved to their collection's bucket.
CREATE TABLE upload (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    temp_filename text COLLATE "C" NOT NULL UNIQUE,
    collection text COLLATE "C" NOT NULL,
    content_type_header text NOT NULL,
    file_size bigint NOT NULL CHECK (file_size > 0),
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    -- The bytes, until the bucket holds them.
    image_data text,
    encoding text NOT NULL DEFAULT 'base64' CHECK (encoding = 'base64'),
    sync_status text NOT NULL DEFAULT 'pending' CHECK (sync_status IN ('pending', 'completed', 'failed')),
    object_key text,
    attempts int NOT NULL DEFAULT 0,
    last_error text,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,

    CONSTRAINT upload_holds_bytes CHECK (sync_status = 'completed' OR image_data IS NOT NULL)
);

ALTER TABLE upload ALTER COLUMN image_data SET STORAGE EXTERNAL;

CREATE INDEX upload_due ON upload (next_attempt_at) WHERE sync_status <> 'completed';
CREATE INDEX upload_completed ON upload (completed_at) WHERE sync_status = 'completed';
