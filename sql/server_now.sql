-- The server's clock.
-- Returns one row: timestamptz
SELECT now()
