-- When images were last asked for and how often since the last time, for a batch. Arrays with one element an image, no
-- image twice: $1 collections, $2 paths, $3 times, $4 requests. Rows are locked in the order of their ids, so that two
-- instances never wait for each other; no column is named that would make this a change. A clock ahead of ours does not
-- keep an image for longer. An image that only a cleaning has put into the trash comes back: a file of it was still
-- served. Each path is looked up by itself: a join of a thousand would read the whole table instead where that is not
-- much larger.
WITH noted AS (
    SELECT (SELECT id FROM image_cache WHERE collection = t.collection AND original_path = t.path), accessed, requests
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[]) AS t (collection, path, accessed, requests)
), locked AS (
    SELECT id, deleted_at IS NULL AS is_live
    FROM image_cache
    WHERE id = ANY (ARRAY(SELECT id FROM noted)) AND (deleted_at IS NULL OR cleaned_up)
    ORDER BY id
    FOR NO KEY UPDATE
), back AS (
    UPDATE image_cache i
    SET deleted_at = NULL, last_accessed = greatest(i.last_accessed, least(noted.accessed, now())),
        access_count = i.access_count + noted.requests
    FROM noted JOIN locked USING (id)
    WHERE i.id = noted.id AND NOT locked.is_live
)
UPDATE image_cache i
SET last_accessed = greatest(i.last_accessed, least(noted.accessed, now())),
    access_count = i.access_count + noted.requests
FROM noted JOIN locked USING (id)
WHERE i.id = noted.id AND locked.is_live
