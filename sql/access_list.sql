-- Requests by hour and collection, of all instances, in the last $1 hours. The oldest first.
-- Returns rows: timestamptz text bigint
SELECT hour, collection, requests
FROM access_hour
WHERE hour > now() - make_interval(hours => $1::bigint::int)
ORDER BY hour, collection
