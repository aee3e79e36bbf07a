-- When images were last asked for and how often since the last time, for a batch. Arrays with one element an image: $1
-- ids, $2 times, $3 requests. Rows are locked in the order of their ids, so that two instances never wait for each
-- other; no column is named that would make this a change. A clock ahead of ours does not keep an image for longer.
WITH noted AS (
    SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[]) AS t (id, accessed, requests)
), locked AS (
    SELECT id FROM image_cache WHERE id = ANY ($1::bigint[]) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE
)
UPDATE image_cache i
SET last_accessed = greatest(i.last_accessed, least(noted.accessed, now())),
    access_count = i.access_count + noted.requests
FROM noted JOIN locked USING (id)
WHERE i.id = noted.id
