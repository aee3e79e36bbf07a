-- Notes which objects no row needs any more, not even one in the trash, and which are needed again. Those that were
-- claimed in the last $1 seconds may be about to get their row.
-- Safe to send twice.
UPDATE image_object o SET unneeded_at = CASE WHEN o.unneeded_at IS NULL THEN now() END
WHERE o.claimed_at < now() - make_interval(secs => $1::bigint)
      AND (o.unneeded_at IS NULL)
          = NOT EXISTS (SELECT FROM image_cache i WHERE i.image_url IS NOT NULL AND i.sha256 = o.sha256)
