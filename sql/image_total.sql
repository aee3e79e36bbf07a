-- How many images a collection has, or, where $1 is null, all of them: live ones, those of them in object storage, those
-- in the trash. From the counters; never below 0.
-- Returns one row: bigint bigint bigint
SELECT greatest(sum(images), 0)::bigint, greatest(sum(linked_images), 0)::bigint, greatest(sum(trash_images), 0)::bigint
FROM image_count
WHERE $1::text IS NULL OR collection = $1::text
