-- For each of the collections $1 that has images: requests at this hour of the day and the next one in the last seven
-- days, those of the present hour included, and how many images there are.
-- Returns rows: text bigint bigint
SELECT c.collection, coalesce(d.requests, 0)::bigint, c.images
FROM (
    SELECT collection, sum(images)::bigint AS images
    FROM image_count
    WHERE collection = ANY ($1::text[])
    GROUP BY collection
    HAVING sum(images) > 0
) c LEFT JOIN (
    SELECT collection, sum(requests) AS requests
    FROM access_hour
    WHERE hour > date_trunc('hour', now(), 'UTC') - interval '7 days' AND hour <= now()
          AND extract(hour FROM hour AT TIME ZONE 'UTC') IN (extract(hour FROM now() AT TIME ZONE 'UTC'),
                                                             extract(hour FROM (now() + interval '1 hour') AT TIME ZONE 'UTC'))
    GROUP BY collection
) d USING (collection)
