-- How many objects are due to be removed. $1 seconds of grace, $2 what their URLs begin with.
-- Returns one row: bigint
SELECT count(*)
FROM image_object o
WHERE o.unneeded_at < now() - make_interval(secs => $1::bigint)
      AND starts_with(o.url, $2::text)
      AND NOT EXISTS (SELECT FROM image_cache i WHERE i.image_url IS NOT NULL AND i.sha256 = o.sha256)
