-- Begins the session of a migration that runs outside of a transaction, as migration_begin.sql. $1 the backend that let us
-- in: behind a pooler another one answers, and would keep the lock for ever. It is another lock than that of
-- migration_begin.sql, for which version 0.1.0 waits.
-- Returns one row: bool bool? text? text?
SELECT direct, CASE WHEN direct THEN pg_try_advisory_lock(88101120521830) END,
       CASE WHEN direct THEN set_config('lock_timeout', '5s', false) END,
       CASE WHEN direct THEN set_config('statement_timeout', '0', false) END
FROM (SELECT pg_backend_pid() = $1::bigint) AS session (direct)
