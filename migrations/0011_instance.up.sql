-- Who runs, and what the daily cleaning knows (job/cleanup.h).

-- A process of `serve` or `run`. It renews seen_at; a row that nobody has renewed for seven days is removed.
CREATE TABLE instance (
    id text COLLATE "C" PRIMARY KEY, -- random
    host text NOT NULL,
    -- The files that came with the app's release: sha256 of their list.
    release bytea,
    first_seen timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    -- It has ended in good order, after it had noted the last uses.
    ended_at timestamptz,
    -- When it last began to note uses by the access times of its files (job/use.h).
    use_at timestamptz,
    -- Why these tell nothing.
    use_error text
);

-- The daily cleanings of the last weeks, one row each.
CREATE TABLE cleanup_day (
    at timestamptz PRIMARY KEY DEFAULT now(),
    host text NOT NULL,
    -- It came to its end. Until then the row asks all instances to note uses.
    checked_at timestamptz,
    -- Since when all uses of files are known; null: they are not, for the reason in use_error.
    use_since timestamptz,
    use_error text,
    -- PERDURA_CLEANUP_DAYS; null: off.
    days int,
    -- Live images last used before this were announced to go into the trash; null: none.
    announced timestamptz
);
