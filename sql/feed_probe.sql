-- Wakes every feed, to find out whether its own connection is woken.
SELECT pg_notify('perdura_image', '')
