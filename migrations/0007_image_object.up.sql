-- What we have put into object storage, so that it can be removed once no row needs it (store/store_object.h): never by
-- a listing of the bucket, in which there may be what others need.
CREATE TABLE image_object (
    -- As in image_cache.image_url.
    url text COLLATE "C" PRIMARY KEY,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    -- Somebody began to put it there, and will have committed a row soon.
    claimed_at timestamptz NOT NULL DEFAULT now(),
    -- Since when it is known that no row needs it.
    unneeded_at timestamptz,
    -- Somebody began to remove it.
    removing_at timestamptz
);

CREATE INDEX image_object_unneeded ON image_object (unneeded_at) WHERE unneeded_at IS NOT NULL;
-- Whether a row needs it, be it in the trash.
CREATE INDEX image_cache_linked ON image_cache (sha256) WHERE image_url IS NOT NULL;
