-- An upload above PERDURA_INLINE_MAX comes in parts, so that nobody ever holds it whole. They are there before its row
-- is; parts without a row are what a broken upload has left.
CREATE TABLE upload_part (
    temp_filename text COLLATE "C" NOT NULL,
    part int NOT NULL CHECK (part >= 0),
    image_data text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (temp_filename, part)
);

ALTER TABLE upload_part ALTER COLUMN image_data SET STORAGE EXTERNAL;

ALTER TABLE upload
    ADD COLUMN parts int NOT NULL DEFAULT 0 CHECK (parts >= 0),
    -- Who moves it at present, and until when that is believed.
    ADD COLUMN claimed_by text,
    ADD COLUMN claimed_until timestamptz,
    ADD COLUMN attempted_at timestamptz,
    DROP CONSTRAINT upload_holds_bytes,
    ADD CONSTRAINT upload_holds_bytes CHECK (sync_status = 'completed' OR image_data IS NOT NULL OR parts > 0);

-- What is done once a day by one instance for all: for which day that was done last.
CREATE TABLE schedule (
    kind text PRIMARY KEY,
    day date NOT NULL,
    host text NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now()
);
