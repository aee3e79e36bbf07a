-- From now on this connection hears of changes; who looks at pg_stat_activity sees what it is for.
-- Safe to send twice.
-- Returns one row: void? text
SELECT image_listen(), set_config('application_name', 'perdura feed', false)
