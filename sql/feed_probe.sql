-- Wakes every feed, to find out whether its own connection is woken.
-- Safe to send twice.
-- Returns one row: void?
SELECT pg_notify('perdura_image', '')
