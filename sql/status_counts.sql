-- Totals by collection, from the counters.
SELECT collection, sum(images)::bigint, sum(bytes)::bigint, sum(linked_images)::bigint, sum(linked_bytes)::bigint,
       sum(trash_images)::bigint, sum(trash_bytes)::bigint
FROM image_count
GROUP BY collection
ORDER BY collection
