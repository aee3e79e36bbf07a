-- Whether the counters can't be right, as far as that can be seen without counting.
-- Returns one row: bool
SELECT (EXISTS (SELECT FROM image_cache) AND NOT EXISTS (SELECT FROM image_count))
       OR EXISTS (SELECT FROM image_count GROUP BY collection, accessed_on
                  HAVING least(sum(images), sum(bytes), sum(linked_images), sum(linked_bytes), sum(trash_images),
                               sum(trash_bytes)) < 0)
