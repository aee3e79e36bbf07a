-- Requests of the last seven days by hour: how many hours ago (0: the present hour), requests of all collections and
-- instances. Hours are those of UTC, as the instances write them.
-- Returns rows: bigint bigint
SELECT (extract(epoch FROM date_trunc('hour', now(), 'UTC') - hour) / 3600)::bigint, sum(requests)::bigint
FROM access_hour
WHERE hour > date_trunc('hour', now(), 'UTC') - interval '7 days' AND hour <= now()
GROUP BY hour
