-- Takes up to $2 objects to be removed that no row has needed for $1 seconds, of those whose URLs begin with $3. Who claims one in this moment either comes
-- first, and it is not among them, or is told that it is being removed.
-- Returns rows: text
UPDATE image_object SET removing_at = now()
WHERE url IN (
    SELECT o.url
    FROM image_object o
    WHERE o.unneeded_at < now() - make_interval(secs => $1::bigint)
          AND o.claimed_at < now() - make_interval(secs => $1::bigint)
          AND starts_with(o.url, $3::text)
          AND (o.removing_at IS NULL OR o.removing_at < now() - interval '10 minutes')
          AND NOT EXISTS (SELECT FROM image_cache i WHERE i.image_url IS NOT NULL AND i.sha256 = o.sha256)
    ORDER BY o.unneeded_at
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
)
RETURNING url
