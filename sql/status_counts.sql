-- Totals by collection, from the counters. Where these are wrong until they are counted again, none is below 0.
-- Returns rows: text bigint bigint bigint bigint bigint bigint
SELECT collection, greatest(sum(images), 0)::bigint, greatest(sum(bytes), 0)::bigint,
       greatest(sum(linked_images), 0)::bigint, greatest(sum(linked_bytes), 0)::bigint,
       greatest(sum(trash_images), 0)::bigint, greatest(sum(trash_bytes), 0)::bigint
FROM image_count
GROUP BY collection
ORDER BY collection
