-- Begins the transaction of one migration: its limits, and the lock that all instances ask for. It is never waited for:
-- who waits has a snapshot, and CREATE INDEX CONCURRENTLY waits for all snapshots. Who waits for the lock of a table
-- makes others wait behind it, so that is given up soon and tried again.
-- Returns one row: text text text bool
SELECT set_config('lock_timeout', '1s', true), set_config('statement_timeout', '0', true),
       set_config('idle_in_transaction_session_timeout', '0', true), pg_try_advisory_xact_lock(88101120521829)
