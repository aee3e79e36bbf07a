-- The uploads that are not in their buckets yet, by collection.
-- Returns rows: text bigint bigint bigint bigint text?
SELECT collection, count(*) FILTER (WHERE sync_status = 'pending'), count(*) FILTER (WHERE sync_status = 'failed'),
       sum(file_size)::bigint, extract(epoch FROM now() - min(created_at))::bigint,
       (array_agg(last_error ORDER BY attempted_at DESC) FILTER (WHERE last_error IS NOT NULL))[1]
FROM upload
WHERE sync_status <> 'completed'
GROUP BY collection
ORDER BY collection
