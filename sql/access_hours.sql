-- Requests by hour and collection, added to what other instances counted; $1 hours, $2 collections, $3 requests. What
-- is older than the seven days that are kept goes, with a day to spare.
WITH old AS (
    DELETE FROM access_hour WHERE hour < now() - interval '8 days'
)
INSERT INTO access_hour AS h (hour, collection, requests)
SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::bigint[]) AS t (hour, collection, requests) ORDER BY 1, 2
ON CONFLICT (hour, collection) DO UPDATE SET requests = h.requests + EXCLUDED.requests
