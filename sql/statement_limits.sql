-- Sent ahead of a statement, in the same transaction: both end with it, so that a pooler's other clients never see them.
-- $1: how long the statement may wait for a lock, $2: how long it may take, both in milliseconds. A statement_timeout of
-- the server's own that is shorter stays as it is.
-- Returns one row: text text
SELECT set_config('lock_timeout', $1::bigint::text, true),
       set_config('statement_timeout', CASE WHEN own_ms BETWEEN 1 AND $2::bigint THEN own_ms ELSE $2::bigint END::text, true)
FROM (SELECT (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::bigint AS own_ms) AS own
