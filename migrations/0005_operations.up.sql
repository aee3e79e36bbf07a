-- What the operator looks at: jobs and what came of them, requests by hour, who is logged in.
CREATE TABLE job_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
    host text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    result jsonb NOT NULL DEFAULT '{}'
);

CREATE INDEX job_run_started ON job_run (started_at DESC);

CREATE TABLE access_hour (
    hour timestamptz NOT NULL,
    collection text COLLATE "C" NOT NULL,
    requests bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, collection)
);

CREATE TABLE admin_session (
    token_sha256 bytea PRIMARY KEY CHECK (octet_length(token_sha256) = 32), -- the token itself is never stored
    csrf_sha256 bytea NOT NULL CHECK (octet_length(csrf_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX admin_session_expires ON admin_session (expires_at);
